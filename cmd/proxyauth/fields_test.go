package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/cmd/proxyauth/internal/doctor"
)

// fieldNames returns the names of all fields of the JSON form.
func fieldNames(t *testing.T) (names []string) {
	t.Helper()
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			visit(typ.Elem())
		case reflect.Struct:
			if typ == reflect.TypeFor[time.Time]() {
				return
			}
			for field := range typ.Fields() {
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				require.NotEmpty(t, name, "%v has a field without a name in JSON", typ)
				names = append(names, name)
				visit(field.Type)
			}
		}
	}
	visit(reflect.TypeFor[doctor.Report]())
	require.Greater(t, len(names), 50)
	return names
}
