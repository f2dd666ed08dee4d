package krb_test

import (
	"testing"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

func pa(t *testing.T, id int32, value any) types.PAData {
	t.Helper()
	data, err := asn1.Marshal(value)
	require.NoError(t, err)
	return types.PAData{PADataType: id, PADataValue: data}
}

func TestKeyInfo(t *testing.T) {
	info2 := func(e ...types.ETypeInfo2Entry) types.PAData {
		return pa(t, patype.PA_ETYPE_INFO2, types.ETypeInfo2(e))
	}
	info := pa(t, patype.PA_ETYPE_INFO, types.ETypeInfo{{EType: 17, Salt: []byte("old")}})
	for _, tc := range []struct {
		desc    string
		data    types.PADataSequence
		encType int32
		salt    string
		params  string
		err     error
	}{
		{"nothing", nil, 18, "EXAMPLE.COMbob", "", nil},
		{"a salt", types.PADataSequence{info2(types.ETypeInfo2Entry{EType: 17, Salt: "new"})}, 17, "new", "", nil},
		{"the newer form first", types.PADataSequence{info, info2(types.ETypeInfo2Entry{EType: 18, Salt: "new"})}, 18, "new", "", nil},
		{"the older form", types.PADataSequence{info}, 17, "old", "", nil},
		{"the first that is allowed", types.PADataSequence{info2(types.ETypeInfo2Entry{EType: 3}, types.ETypeInfo2Entry{EType: 17})}, 17, "EXAMPLE.COMbob", "", nil},
		{"iterations", types.PADataSequence{info2(types.ETypeInfo2Entry{EType: 17, S2KParams: []byte{0, 0, 16, 0}})}, 17, "EXAMPLE.COMbob", "00001000", nil},
		{"work for a year", types.PADataSequence{info2(types.ETypeInfo2Entry{EType: 17, S2KParams: []byte{255, 255, 255, 255}})}, 0, "", "", krb.ErrMalformedReply},
		{"work for a year, as zero", types.PADataSequence{info2(types.ETypeInfo2Entry{EType: 17, S2KParams: make([]byte, 4)})}, 0, "", "", krb.ErrMalformedReply},
		{"nothing that is allowed", types.PADataSequence{info2(types.ETypeInfo2Entry{EType: 3})}, 0, "", "", krb.ErrEncType},
		{"no entries", types.PADataSequence{info2()}, 0, "", "", krb.ErrEncType},
		{"garbage", types.PADataSequence{{PADataType: patype.PA_ETYPE_INFO2, PADataValue: []byte{0x30, 0x84, 0xff}}}, 18, "EXAMPLE.COMbob", "", nil},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			encType, salt, params, err := krb.KeyInfo(tc.data, 18, 17)
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, []any{tc.encType, tc.salt, tc.params}, []any{encType, salt, params})
		})
	}
}
