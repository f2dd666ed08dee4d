package credentials

import "github.com/go-proxyauth/proxyauth"

func ParseGitAnswer(output []byte, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, bool, error) {
	question, err := gitQuestion(req)
	if err != nil {
		return proxyauth.Credentials{}, false, err
	}
	a, err := parseGitAnswer(output, question, req)
	if err != nil {
		return proxyauth.Credentials{}, false, err
	}
	return a.credentials, a.found, nil
}

func ParseJSONAnswer(output []byte, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, bool, error) {
	a, err := parseJSONAnswer(output, req)
	if err != nil {
		return proxyauth.Credentials{}, false, err
	}
	return a.credentials, a.found, nil
}
