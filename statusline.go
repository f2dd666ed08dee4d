package proxyauth

import "bytes"

// statusCode returns the first three bytes of the status code of the answer that
// data begins with, where net/http would find them; fewer if they are not there
// yet. It is not ok if data is not the beginning of an answer.
func statusCode(data []byte) (code []byte, ok bool) {
	const version = "HTTP/?.? "
	for i := range min(len(data), len(version)) {
		if version[i] != '?' && data[i] != version[i] {
			return nil, false
		}
	}
	code = bytes.TrimLeft(data[min(len(data), len(version)):], " ")
	code = code[:min(len(code), 3)]
	return code, bytes.IndexByte(code, '\n') < 0
}

// headEnd returns the length of the head that data begins with, -1 if it is not
// complete.
func headEnd(data []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		switch rest := data[at:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return at + 1
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return at + 2
		}
	}
}

// endConnection returns data, the head of an answer, with a line behind the status
// line that ends the connection.
func endConnection(data []byte) []byte {
	eol := bytes.IndexByte(data, '\n') + 1
	return bytes.Join([][]byte{data[:eol], data[eol:]}, []byte("Connection: close\r\n"))
}
