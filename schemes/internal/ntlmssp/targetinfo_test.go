package ntlmssp_test

import (
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
)

func TestTargetInfoIsRewritten(t *testing.T) {
	bindings, spn := "0123456789abcdef", wide("HTTP/x")
	ours := slices.Concat(pair(10, bindings), pair(9, spn), end)
	for _, tc := range []struct {
		desc string
		in   []byte
		mic  bool
		want []byte
	}{
		{desc: "nothing but the end", in: end, want: ours},
		{
			desc: "MIC", in: slices.Concat(names, timestamp, end), mic: true,
			want: slices.Concat(names, timestamp, pair(6, "\x02\x00\x00\x00"), ours),
		},
		{
			desc: "flags of the server are kept", in: slices.Concat(pair(6, "\x01\x00\x00\x80"), names, end), mic: true,
			want: slices.Concat(names, pair(6, "\x03\x00\x00\x80"), ours),
		},
		{
			desc: "a server can't say that there is a MIC", in: slices.Concat(pair(6, "\x07\x00\x00\x00"), names, end),
			want: slices.Concat(names, pair(6, "\x01\x00\x00\x00"), ours),
		},
		{
			desc: "a server can't choose binding and target", in: slices.Concat(pair(9, "a"), pair(10, "b"), names, end),
			want: slices.Concat(names, ours),
		},
		{
			desc: "unknown pairs are kept", in: slices.Concat(pair(0x1234, "x"), pair(8, ""), end),
			want: slices.Concat(pair(0x1234, "x"), pair(8, ""), ours),
		},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			got, err := ntlmssp.RewriteTargetInfo(tc.in, tc.mic, []byte(bindings), []byte(spn))
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestNoTargetNameIsAnEmptyPair(t *testing.T) {
	got, err := ntlmssp.RewriteTargetInfo(end, false, make([]byte, 16), nil)
	require.NoError(t, err)
	require.Equal(t, slices.Concat(pair(10, string(make([]byte, 16))), pair(9, ""), end), got)
}

func FuzzRewrittenTargetInfoHasOneOfEachPair(f *testing.F) {
	f.Add(modern, true)
	f.Add(ancient, false)
	f.Add(slices.Concat(pair(6, "\x07\x00\x00\x00"), pair(9, "a"), pair(10, "b"), names, end), true)
	f.Add(slices.Concat(pair(9, "a"), pair(9, "a"), end), true)
	f.Add(slices.Concat(names, end, names), false)
	f.Fuzz(func(t *testing.T, info []byte, mic bool) {
		got, err := ntlmssp.RewriteTargetInfo(info, mic, []byte("0123456789abcdef"), []byte("SPN"))
		if err != nil {
			return
		}
		pairs, err := readPairs(got) // none twice, MsvAvEOL last
		require.NoError(t, err)
		require.Equal(t, "0123456789abcdef", pairs[10])
		require.Equal(t, "SPN", pairs[9])
		flags, ok := pairs[6]
		require.True(t, ok || !mic)
		if ok {
			require.Equal(t, mic, binary.LittleEndian.Uint32([]byte(flags))&6 == 2)
		}
		again, err := ntlmssp.RewriteTargetInfo(got, mic, []byte("0123456789abcdef"), []byte("SPN"))
		require.NoError(t, err)
		twice, err := readPairs(again)
		require.NoError(t, err)
		require.True(t, maps.Equal(pairs, twice))
	})
}
