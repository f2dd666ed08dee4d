package krb

import (
	"cmp"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
)

// defaultEncTypes are the encryption types that are asked for if no krb5.conf
// says otherwise. RC4 is weak, last, and for the tickets of services alone: Active Directory
// still issues it for a service account that has no msDS-SupportedEncryptionTypes. A
// password is not proved with it, since from that proof it could be guessed cheaply by anybody
// who pretends to be the KDC and asks for it.
var (
	strongEncTypes = []int32{
		etypeID.AES256_CTS_HMAC_SHA384_192,
		etypeID.AES128_CTS_HMAC_SHA256_128,
		etypeID.AES256_CTS_HMAC_SHA1_96,
		etypeID.AES128_CTS_HMAC_SHA1_96,
	}
	defaultEncTypes = append(slices.Clip(strongEncTypes), etypeID.RC4_HMAC)
)

// encTypeNames are the names that krb5.conf uses, families included. Types that
// are not supported are not among them.
var encTypeNames = map[string][]int32{
	"aes256-cts-hmac-sha384-192": {20},
	"aes256-sha2":                {20},
	"aes128-cts-hmac-sha256-128": {19},
	"aes128-sha2":                {19},
	"aes256-cts-hmac-sha1-96":    {18},
	"aes256-cts":                 {18},
	"aes256-sha1":                {18},
	"aes128-cts-hmac-sha1-96":    {17},
	"aes128-cts":                 {17},
	"aes128-sha1":                {17},
	"des3-cbc-sha1":              {16},
	"des3-hmac-sha1":             {16},
	"des3-cbc-sha1-kd":           {16},
	"des3":                       {16},
	"arcfour-hmac":               {23},
	"rc4-hmac":                   {23},
	"arcfour-hmac-md5":           {23},
	"rc4":                        {23},
	"aes":                        {18, 17, 20, 19},
}

// parseEncTypes reads a list of krb5.conf, which may take types off ("-rc4"). An
// empty text, and "DEFAULT" in it, mean standard, the default of the list; a text
// with none that is supported, none.
func parseEncTypes(text string, standard []int32) []int32 {
	var list []int32
	text = cmp.Or(text, "default")
	for name := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		name, off := strings.CutPrefix(name, "-")
		name = strings.TrimPrefix(name, "+")
		types := encTypeNames[name]
		if name == "default" {
			types = standard
		}
		for _, id := range types {
			list = slices.DeleteFunc(list, func(have int32) bool { return off && have == id })
			if !off && !slices.Contains(list, id) {
				list = append(list, id)
			}
		}
	}
	return list
}

// intersect returns the elements of list that are in allowed, in the order of
// list.
func intersect(list, allowed []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(list), func(id int32) bool { return !slices.Contains(allowed, id) })
}
