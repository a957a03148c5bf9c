package playbook

import (
	"reflect"
	"strings"
)

// Keys gives every key of the grammar that holds a value.
func Keys() map[string]bool {
	keys := map[string]bool{}
	collect(reflect.TypeFor[document](), keys)
	return keys
}

func collect(t reflect.Type, keys map[string]bool) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		keys[name] = true
		collect(f.Type, keys)
	}
}
