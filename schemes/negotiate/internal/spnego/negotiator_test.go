package spnego_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

// A mech is a mechanism whose tokens are its name and a number, and whose
// integrity codes are the name.
type mech struct {
	name        string
	legs, taken int
	got         []string
	bare        bool // has no integrity codes
	err         error
}

func (m *mech) Init(_ context.Context, token []byte) ([]byte, bool, error) {
	m.got = append(m.got, string(token))
	if m.err != nil && token != nil {
		return nil, false, m.err
	}
	if m.taken++; m.taken > m.legs {
		return nil, true, nil
	}
	return []byte{m.name[0], byte('0' + m.taken)}, m.taken == m.legs, nil
}

func (m *mech) MIC([]byte) ([]byte, error) {
	if m.bare {
		return nil, spnego.ErrUnprotected
	}
	return []byte(m.name), nil
}

func (m *mech) VerifyMIC(_, mic []byte) error {
	switch {
	case m.bare:
		return spnego.ErrUnprotected
	case string(mic) != m.name:
		return errors.New("wrong")
	}
	return nil
}

var (
	firstOID, secondOID = []byte{0x2a, 1}, []byte{0x2a, 2}
	thirdOID            = []byte{0x2a, 3}
)

func offer(first, second *mech) *spnego.Negotiator {
	return spnego.New(
		spnego.Mechanism{OIDs: [][]byte{firstOID, thirdOID}, Context: first},
		spnego.Mechanism{OIDs: [][]byte{secondOID}, Context: second})
}

func field(tag byte, content ...byte) []byte {
	return append([]byte{tag, byte(len(content))}, content...)
}

// resp returns a NegTokenResp; state below zero and nil are left out.
func resp(state int, oid, token, mic []byte) []byte {
	var body []byte
	if state >= 0 {
		body = append(body, field(0xa0, field(0x0a, byte(state))...)...)
	}
	if oid != nil {
		body = append(body, field(0xa1, field(0x06, oid...)...)...)
	}
	if token != nil {
		body = append(body, field(0xa2, field(0x04, token...)...)...)
	}
	if mic != nil {
		body = append(body, field(0xa3, field(0x04, mic...)...)...)
	}
	return field(0xa1, field(0x30, body...)...)
}

const (
	completed = iota
	incomplete
	reject
	requestMIC
	none = -1
)

func TestOpening(t *testing.T) {
	out, done, err := offer(&mech{name: "a", legs: 1}, &mech{name: "b", legs: 2}).Init(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, done)
	want := field(0x60, append([]byte{0x06, 6, 0x2b, 6, 1, 5, 5, 2},
		field(0xa0, field(0x30, append(
			field(0xa0, field(0x30, 6, 2, 0x2a, 1, 6, 2, 0x2a, 2)...),
			field(0xa2, field(0x04, 'a', '1')...)...)...)...)...)...)
	require.Equal(t, want, out)
}

func TestAnswers(t *testing.T) {
	broken := errors.New("mechanism says no")
	for _, tc := range []struct {
		desc   string
		a, b   mech
		in     [][]byte // tokens of the acceptor
		want   [][]byte // of the initiator
		err    error
		second bool // is selected
	}{
		{
			desc: "two legs", a: mech{name: "a", legs: 2},
			in:   [][]byte{resp(incomplete, firstOID, []byte("x"), nil)},
			want: [][]byte{resp(none, nil, []byte("a2"), nil)},
		}, {
			desc: "two legs of which the acceptor says little", a: mech{name: "a", legs: 2},
			in:   [][]byte{resp(none, nil, []byte("x"), nil)},
			want: [][]byte{resp(none, nil, []byte("a2"), nil)},
		}, {
			desc: "the other name of the mechanism", a: mech{name: "a", legs: 2},
			in:   [][]byte{resp(incomplete, thirdOID, []byte("x"), nil)},
			want: [][]byte{resp(none, nil, []byte("a2"), nil)},
		}, {
			desc: "the second mechanism", a: mech{name: "a", legs: 1}, b: mech{name: "b", legs: 2}, second: true,
			in:   [][]byte{resp(requestMIC, secondOID, nil, nil), resp(incomplete, nil, []byte("x"), nil)},
			want: [][]byte{resp(none, nil, []byte("b1"), nil), resp(none, nil, []byte("b2"), []byte("b"))},
		}, {
			desc: "the second mechanism without integrity codes", a: mech{name: "a", legs: 1}, b: mech{name: "b", legs: 2, bare: true}, second: true,
			in:   [][]byte{resp(requestMIC, secondOID, nil, nil), resp(incomplete, nil, []byte("x"), nil)},
			want: [][]byte{resp(none, nil, []byte("b1"), nil), resp(none, nil, []byte("b2"), nil)},
		}, {
			desc: "a code is wanted", a: mech{name: "a", legs: 1},
			in:   [][]byte{resp(requestMIC, firstOID, []byte("x"), nil)},
			want: [][]byte{resp(none, nil, nil, []byte("a"))},
		}, {
			desc: "a code is wanted, and there is none", a: mech{name: "a", legs: 1, bare: true},
			in:   [][]byte{resp(requestMIC, firstOID, []byte("x"), nil)},
			want: [][]byte{resp(completed, nil, nil, nil)},
		}, {
			desc: "a right code", a: mech{name: "a", legs: 1},
			in:   [][]byte{resp(incomplete, firstOID, []byte("x"), []byte("a"))},
			want: [][]byte{resp(none, nil, nil, []byte("a"))},
		}, {
			desc: "a wrong code", a: mech{name: "a", legs: 1},
			in: [][]byte{resp(incomplete, firstOID, []byte("x"), []byte("?"))}, err: spnego.ErrMIC,
		}, {
			desc: "the token for a code", a: mech{name: "a", legs: 2},
			in:   [][]byte{resp(incomplete, firstOID, []byte("x"), []byte("x"))},
			want: [][]byte{resp(none, nil, []byte("a2"), nil)},
		}, {
			desc: "a rejection", a: mech{name: "a", legs: 1},
			in: [][]byte{resp(reject, nil, nil, nil)}, err: spnego.ErrRejected,
		}, {
			desc: "a rejection with a reason", a: mech{name: "a", legs: 1, err: broken},
			in: [][]byte{resp(reject, nil, []byte("why"), nil)}, err: broken,
		}, {
			desc: "an error of the mechanism", a: mech{name: "a", legs: 1, err: broken},
			in: [][]byte{resp(incomplete, nil, []byte("x"), nil)}, err: broken,
		}, {
			desc: "nothing left to say", a: mech{name: "a", legs: 1},
			in: [][]byte{resp(completed, firstOID, []byte("x"), nil)}, err: spnego.ErrNothingLeft,
		}, {
			desc: "a mechanism that was not offered", a: mech{name: "a", legs: 1},
			in: [][]byte{resp(incomplete, []byte{0x2a, 9}, nil, nil)}, err: spnego.ErrNotOffered,
		}, {
			desc: "a change of mind", a: mech{name: "a", legs: 3}, b: mech{name: "b", legs: 2},
			in:   [][]byte{resp(incomplete, firstOID, []byte("x"), nil), resp(incomplete, secondOID, nil, nil)},
			want: [][]byte{resp(none, nil, []byte("a2"), nil)}, err: spnego.ErrNotOffered,
		},
		{desc: "garbage", a: mech{name: "a", legs: 1}, in: [][]byte{[]byte("garbage")}, err: spnego.ErrMalformed},
		{desc: "an empty token", a: mech{name: "a", legs: 1}, in: [][]byte{{}}, err: spnego.ErrMalformed},
		{desc: "an unknown state", a: mech{name: "a", legs: 1}, in: [][]byte{resp(4, nil, nil, nil)}, err: spnego.ErrMalformed},
		{desc: "octets behind the end", a: mech{name: "a", legs: 1}, in: [][]byte{append(resp(0, nil, nil, nil)[:2:2], 0x30, 3, 2, 1, 1)}, err: spnego.ErrMalformed},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			n := offer(&tc.a, &tc.b)
			_, _, err := n.Init(t.Context(), nil)
			require.NoError(t, err)
			var got [][]byte
			for _, token := range tc.in {
				var out []byte
				if out, _, err = n.Init(t.Context(), token); err != nil {
					break
				}
				got = append(got, out)
			}
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.second, n.Selected() == 1)
		})
	}
}

func TestFinish(t *testing.T) {
	for _, tc := range []struct {
		desc string
		in   []byte
		err  error
	}{
		{"with a token", resp(completed, firstOID, []byte("x"), nil), nil},
		{"with nothing", resp(completed, nil, nil, nil), nil},
		{"with a right code", resp(completed, nil, nil, []byte("a")), nil},
		{"with a wrong code", resp(completed, nil, nil, []byte("b")), spnego.ErrMIC},
		{"without SPNEGO", []byte{0x60, 0}, nil},
		{"with a rejection", resp(reject, nil, nil, nil), spnego.ErrRejected},
		{"with another mechanism", resp(completed, secondOID, nil, nil), spnego.ErrNotOffered},
		{"with garbage", []byte("garbage"), spnego.ErrMalformed},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			n := offer(&mech{name: "a", legs: 1}, &mech{name: "b", legs: 2})
			_, _, err := n.Init(t.Context(), nil)
			require.NoError(t, err)
			require.ErrorIs(t, n.Finish(t.Context(), tc.in), tc.err)
		})
	}
}

func FuzzAnswerDoesNotPanic(f *testing.F) {
	f.Add(resp(incomplete, firstOID, []byte("x"), []byte("a")), resp(completed, nil, nil, nil))
	f.Add(resp(requestMIC, secondOID, nil, nil), resp(none, nil, []byte("x"), nil))
	f.Add([]byte{0xa1, 0x84, 0xff, 0xff, 0xff, 0xff}, []byte{0x60})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		n := offer(&mech{name: "a", legs: 2}, &mech{name: "b", legs: 2})
		_, _, err := n.Init(t.Context(), nil)
		require.NoError(t, err)
		for _, token := range [][]byte{first, second} {
			if token == nil {
				continue
			}
			out, _, err := n.Init(t.Context(), token)
			require.Equal(t, err == nil, out != nil)
		}
		n.Finish(t.Context(), second)
	})
}
