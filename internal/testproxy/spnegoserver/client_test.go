package spnegoserver_test

import (
	"crypto/md5"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

const (
	realm   = "EXAMPLE.COM"
	service = "HTTP/proxy.example.com"
	secret  = "s3cret"
)

var (
	oidSPNEGO = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 2}
	oidKrb5   = asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2}
	oidMSKrb5 = asn1.ObjectIdentifier{1, 2, 840, 48018, 1, 2, 2}
	oidNTLM   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 2, 10}
)

// binding is the application data of a channel binding.
var binding = append([]byte("tls-server-end-point:"), make([]byte, 32)...)

// A lab is a KDC and a user logged in there.
type lab struct {
	kdc *kdc.KDC
	cl  *client.Client
}

func newLab(t testing.TB, etypes ...int32) *lab {
	t.Helper()
	k := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{
		{Name: "ann", Password: secret, Enctypes: []int32{kdc.AES128SHA1}},
		{Name: service, Enctypes: etypes},
		{Name: "HTTP/other.example.com"},
	}})
	cfg, err := config.NewFromString(k.Krb5Conf(
		"allow_weak_crypto = true",
		"default_tgs_enctypes = aes256-cts-hmac-sha384-192 aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96 aes128-cts-hmac-sha256-128 arcfour-hmac",
	))
	require.NoError(t, err)
	cl := client.NewWithPassword("ann", realm, secret, cfg, client.DisablePAFXFAST(true))
	require.NoError(t, cl.Login())
	t.Cleanup(cl.Destroy)
	return &lab{kdc: k, cl: cl}
}

func (l *lab) server() *spnegoserver.Server {
	return &spnegoserver.Server{Keytab: l.kdc.Keytab(service), Service: service}
}

// An initiator is a client that can be told to do each thing otherwise.
type initiator struct {
	t       testing.TB
	lab     *lab
	service string
	mechs   []asn1.ObjectIdentifier
	flags   uint32
	mutual  bool // option of the AP-REQ
	binding []byte
	subkey  bool
	edit    func(*types.Authenticator)

	session types.EncryptionKey
	auth    types.Authenticator
	list    []byte // the mechanism list in DER
}

func (l *lab) initiator(t testing.TB) *initiator {
	return &initiator{
		t: t, lab: l, service: service, mechs: []asn1.ObjectIdentifier{oidKrb5, oidNTLM},
		flags: 2 | 32, mutual: true, subkey: true,
	}
}

// checksum is RFC 4121, Section 4.1.1, written a second time.
func (i *initiator) checksum() []byte {
	sum := make([]byte, 24)
	sum[0] = 16
	if i.binding != nil {
		data := binary.LittleEndian.AppendUint32(make([]byte, 16), uint32(len(i.binding)))
		hash := md5.Sum(append(data, i.binding...))
		copy(sum[4:], hash[:])
	}
	binary.LittleEndian.PutUint32(sum[20:], i.flags)
	return sum
}

func (i *initiator) apReq() []byte {
	i.t.Helper()
	ticket, key, err := i.lab.cl.GetServiceTicket(i.service)
	require.NoError(i.t, err)
	i.session = key
	i.auth, err = types.NewAuthenticator(realm, i.lab.cl.Credentials.CName())
	require.NoError(i.t, err)
	i.auth.Cksum = types.Checksum{CksumType: 0x8003, Checksum: i.checksum()}
	if i.subkey {
		// Not of the length that gokrb5 would have, which is wrong for type 20.
		i.auth.SubKey = types.EncryptionKey{KeyType: key.KeyType, KeyValue: make([]byte, len(key.KeyValue))}
	}
	if i.edit != nil {
		i.edit(&i.auth)
	}
	ap, err := messages.NewAPReq(ticket, key, i.auth)
	require.NoError(i.t, err)
	if i.mutual {
		types.SetFlag(&ap.APOptions, 2)
	}
	out, err := ap.Marshal()
	require.NoError(i.t, err)
	return gssFrame(i.t, oidKrb5, append([]byte{1, 0}, out...))
}

func gssFrame(t testing.TB, oid asn1.ObjectIdentifier, body []byte) []byte {
	t.Helper()
	return encode(t, asn1.RawValue{Class: 1, Tag: 0, IsCompound: true, Bytes: slices.Concat(encode(t, oid), body)})
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	out, err := asn1.Marshal(v)
	require.NoError(t, err)
	return out
}

// token returns a NegTokenInit with an AP-REQ.
func (i *initiator) token() []byte {
	i.t.Helper()
	return i.negTokenInit(i.apReq())
}

func (i *initiator) negTokenInit(token []byte) []byte {
	i.t.Helper()
	i.list = encode(i.t, i.mechs)
	body := slices.Concat(explicit(i.t, 0, i.list))
	if token != nil {
		body = append(body, explicit(i.t, 2, encode(i.t, token))...)
	}
	sequence := encode(i.t, asn1.RawValue{Tag: 16, IsCompound: true, Bytes: body})
	return gssFrame(i.t, oidSPNEGO, explicit(i.t, 0, sequence))
}

func explicit(t testing.TB, tag int, content []byte) []byte {
	t.Helper()
	return encode(t, asn1.RawValue{Class: 2, Tag: tag, IsCompound: true, Bytes: content})
}

// negTokenResp returns a later token of the client.
func negTokenResp(t testing.TB, token, mic []byte) []byte {
	t.Helper()
	var body []byte
	if token != nil {
		body = append(body, explicit(t, 2, encode(t, token))...)
	}
	if mic != nil {
		body = append(body, explicit(t, 3, encode(t, mic))...)
	}
	return explicit(t, 1, encode(t, asn1.RawValue{Tag: 16, IsCompound: true, Bytes: body}))
}

// A resp is a NegTokenResp of the server.
type resp struct {
	State asn1.Enumerated       `asn1:"explicit,optional,tag:0,default:-1"`
	Mech  asn1.ObjectIdentifier `asn1:"explicit,optional,tag:1"`
	Token []byte                `asn1:"explicit,optional,tag:2"`
	MIC   []byte                `asn1:"explicit,optional,tag:3"`
}

// noState is the State of a resp without one.
const noState = asn1.Enumerated(-1)

func parse(t testing.TB, in []byte) resp {
	t.Helper()
	r := resp{State: noState}
	rest, err := asn1.UnmarshalWithParams(in, &r, "explicit,tag:1")
	require.NoError(t, err)
	require.Empty(t, rest)
	return r
}

// verifyAPRep returns why an AP-REP in its token does not prove the server, and
// the server's subkey.
func (i *initiator) verifyAPRep(token []byte) (types.EncryptionKey, string) {
	var oid asn1.ObjectIdentifier
	body, err := asn1.UnmarshalWithParams(token, &oid, "application,explicit,tag:0")
	if err != nil || !oid.Equal(oidKrb5) || len(body) < 2 {
		return types.EncryptionKey{}, "no token"
	}
	var rep messages.APRep
	if body[0] != 2 || rep.Unmarshal(body[2:]) != nil {
		return types.EncryptionKey{}, "no AP-REP"
	}
	plain, err := crypto.DecryptEncPart(rep.EncPart, i.session, 12)
	var part messages.EncAPRepPart
	if err != nil || part.Unmarshal(plain) != nil {
		return types.EncryptionKey{}, "wrong key"
	}
	// What is sent has no fractions of a second.
	if !part.CTime.Equal(i.auth.CTime.Truncate(time.Second)) || part.Cusec != i.auth.Cusec {
		return types.EncryptionKey{}, "wrong time"
	}
	return part.Subkey, ""
}

// mic returns the client's MIC of the mechanism list.
func (i *initiator) mic(key types.EncryptionKey, flags byte) []byte {
	i.t.Helper()
	mic := gssapi.MICToken{Flags: flags, SndSeqNum: uint64(i.auth.SeqNumber), Payload: i.list}
	require.NoError(i.t, mic.SetChecksum(key, 25))
	out, err := mic.Marshal()
	require.NoError(i.t, err)
	return out
}
