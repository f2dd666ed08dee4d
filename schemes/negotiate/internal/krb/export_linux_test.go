package krb

// ParseKeyring parses what the kernel returns of keys, and returns the names found.
func ParseKeyring(data []byte) []string {
	var names []string
	if name, err := parsePrimary(data); err == nil {
		names = append(names, name)
	}
	if kind, _ := parseDescription(string(data)); kind != "" {
		names = append(names, kind)
	}
	parseSerials(data)
	return append(names, parseKeyringName(string(data)).String())
}
