package krb

import "os"

// A stamp tells whether a file is still the one that was read.
type stamp struct {
	name string
	info os.FileInfo
}

func stampOf(name string) (stamp, error) {
	info, err := os.Stat(name)
	return stamp{name: name, info: info}, err
}

// current reports whether the file has not changed. A stamp without info is of a
// file that was missing.
func (s stamp) current() bool {
	now, err := os.Stat(s.name)
	if err != nil || s.info == nil {
		return err != nil && s.info == nil
	}
	return os.SameFile(s.info, now) && s.info.Size() == now.Size() && s.info.ModTime().Equal(now.ModTime())
}
