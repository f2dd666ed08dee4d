package sspi

// OpenHandles returns how many handles of credentials and of contexts are open.
func OpenHandles() (credentials, contexts int64) {
	return openCredentials.Load(), openHandles.Load()
}
