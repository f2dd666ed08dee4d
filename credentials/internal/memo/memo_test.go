package memo_test

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/internal/memo"
)

func pair(user, password string) proxyauth.Credentials {
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
}

func TestKeysDiffer(t *testing.T) {
	lists := [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"b", "a"}, {"a", "", "b"}, {"a\x00b"}}
	seen := make(map[memo.Key]bool)
	for _, list := range lists {
		key := memo.KeyOf(list...)
		require.False(t, seen[key], list)
		require.Equal(t, key, memo.KeyOf(list...))
		seen[key] = true
	}
}

func TestQuestionAndAttempt(t *testing.T) {
	ann := pair("ann", "s3cret")
	question := func(change func(*proxyauth.CredentialsRequest)) *proxyauth.CredentialsRequest {
		req := &proxyauth.CredentialsRequest{Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}, Realm: "Lab"}
		change(req)
		return req
	}
	plain := question(func(*proxyauth.CredentialsRequest) {})
	require.Equal(t, memo.Question(plain), memo.Attempt(plain))
	rejected := question(func(r *proxyauth.CredentialsRequest) { r.Rejected = append(r.Rejected, ann) })
	require.Equal(t, memo.Question(plain), memo.Question(rejected))
	require.NotEqual(t, memo.Attempt(plain), memo.Attempt(rejected))
	for _, other := range []*proxyauth.CredentialsRequest{
		question(func(r *proxyauth.CredentialsRequest) { r.Proxy.Host = "proxy.example.com:3129" }),
		question(func(r *proxyauth.CredentialsRequest) { r.Proxy.Scheme = "https" }),
		question(func(r *proxyauth.CredentialsRequest) { r.Realm = "Corp" }),
		question(func(r *proxyauth.CredentialsRequest) { r.UserInfo = &ann }),
	} {
		require.NotEqual(t, memo.Question(plain), memo.Question(other))
	}
}

func TestSameAndContains(t *testing.T) {
	list := []proxyauth.Credentials{pair("ann", "s3cret"), pair("bob", "")}
	require.True(t, memo.Contains(list, pair("ann", "s3cret")))
	require.True(t, memo.Contains(list, proxyauth.Credentials{Username: "bob"}))
	require.False(t, memo.Contains(list, pair("ann", "")))
	require.False(t, memo.Contains(list, pair("Ann", "s3cret")))
	require.False(t, memo.Contains(nil, pair("", "")))
}

func TestTable(t *testing.T) {
	var table memo.Table[int]
	key := memo.KeyOf("key")
	_, found := table.Get(key)
	require.False(t, found)
	table.Put(key, 1)
	table.Put(key, 2)
	got, found := table.Get(key)
	require.True(t, found)
	require.Equal(t, 2, got)
	table.Delete(key, func(v int) bool { return v == 1 })
	_, found = table.Get(key)
	require.True(t, found)
	table.Delete(key, func(v int) bool { return v == 2 })
	table.Delete(key, func(int) bool { return true })
	_, found = table.Get(key)
	require.False(t, found)
}

func TestTableIsBounded(t *testing.T) {
	const most = 1024
	var table memo.Table[int]
	for i := range 3 * most {
		table.Put(memo.KeyOf(strconv.Itoa(i)), i)
	}
	for i := range 3 * most {
		_, found := table.Get(memo.KeyOf(strconv.Itoa(i)))
		require.Equal(t, i >= 2*most, found)
	}
}

func TestTableKeepsWhatIsUsed(t *testing.T) {
	var table memo.Table[int]
	used := memo.KeyOf("used")
	table.Put(used, -1)
	for i := range 3 * 1024 {
		table.Put(memo.KeyOf(strconv.Itoa(i)), i)
		_, found := table.Get(used)
		require.True(t, found)
	}
}
