package proxyauth

// MaxStats bounds the proxies that are counted on their own.
const MaxStats = maxStats
