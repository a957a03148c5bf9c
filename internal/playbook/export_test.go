package playbook

import (
	"math/rand/v2"
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

// RandomText writes a document of which every key of the grammar may hold something, and lists the keys that do.
func RandomText(random *rand.Rand) (text []byte, used map[string]bool) {
	doc, used := document{}, map[string]bool{}
	fill(random, reflect.ValueOf(&doc).Elem(), used)
	doc.Version = 1
	return encode(doc), used
}

// tricky are values that a careless writer of YAML gets wrong.
var tricky = []string{
	"demo", "DE:10", "yes", "no", "null", "~", "1.50", "007", "1e3", "0x1F", "2026-11-26", "12:30", "a: b", "# no comment", "- item", "[x]", "{y}", "it's", `say "so"`,
	"*any", "&and", "!tag", "%", "@home", "`tick`", "two\nlines", "Zoë Ångström", "日本", "true", "", "a,b", "|", ">", "?", "\\", "tab\there",
}

func fill(random *rand.Rand, v reflect.Value, used map[string]bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if random.IntN(4) > 0 {
				fill(random, v.Field(i), used)
			}
			if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); !v.Field(i).IsZero() {
				used[name] = true
			}
		}
	case reflect.Slice:
		if n := random.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(random, v.Index(i), used)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(random, v.Elem(), used)
	case reflect.String:
		v.SetString(tricky[random.IntN(len(tricky))])
	case reflect.Bool:
		v.SetBool(random.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(random.IntN(2000) - 1000))
	case reflect.Float64:
		v.SetFloat(float64(random.IntN(2000)-1000) / 8)
	default:
		panic("a document holds a " + v.Kind().String() + ", which this generator does not know")
	}
}

// Rewritten reads a text and writes it out again, whether or not it makes sense.
func Rewritten(text []byte) ([]byte, []Problem) {
	r := &reader{at: map[string]position{}}
	r.read(File{Name: "random", Source: text})
	return encode(r.doc), r.problems
}
