package playbook

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"leadline/internal/routing"
)

// maxFile bounds what is read: several hundred thousand rules.
const maxFile = 64 << 20

// File is one configuration text.
type File struct {
	Name   string // shown in problems
	Source []byte
}

// position is where something was written.
type position struct {
	file string
	line int
}

// reader collects documents, where each part of them was written, and what is wrong.
type reader struct {
	doc      document
	at       map[string]position // by path
	file     string
	problems []Problem
}

func (r *reader) fail(path, code, remedy, format string, args ...any) {
	at := r.position(path)
	r.problems = append(r.problems, Problem{File: at.file, Line: at.line, Path: path, Code: code, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// position finds the line of a path, or of the nearest part around it that was written.
func (r *reader) position(path string) position {
	for path != "" {
		if at, ok := r.at[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return position{file: r.file}
}

var yamlLine = regexp.MustCompile(`line (\d+): ?`)

// read adds one file to the document.
func (r *reader) read(f File) {
	r.file = f.Name
	if len(f.Source) > maxFile {
		r.fail("", "too_large", "", "the file is larger than %d MiB", maxFile>>20)
		return
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(f.Source)))
	var root, more yaml.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) {
		r.fail("", "empty", "", "the file is empty")
		return
	}
	if err != nil {
		r.syntax(err)
		return
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		r.fail("", "format", "put it into one document, or into several files", "the file holds more than one document")
		return
	}
	delete(r.at, "version")
	r.value(root.Content[0], reflect.ValueOf(&r.doc).Elem(), "")
	if _, given := r.at["version"]; !given {
		r.fail("", "missing", "start it with version: 1", "the file does not say its version")
	} else if r.doc.Version != 1 {
		r.fail("version", "unknown", "use version: 1", "version %d is not known to this Leadline", r.doc.Version)
	}
}

// syntax reports what the YAML parser says, at its line.
func (r *reader) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // the pattern holds digits alone
		text = strings.Replace(text, m[0], "", 1)
	}
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Code: "syntax", Message: "this is no valid YAML: " + text})
}

// note remembers where a path was written. Within an entry what stands in the line of the part around it is found by that: most
// rules are one line.
func (r *reader) note(path string, line int) {
	at := position{r.file, line}
	if !strings.Contains(path, "].") || r.position(path) != at {
		r.at[path] = at
	}
}

// value reads a node into a part of the document. Sequences append, so that files add to each other's sections.
func (r *reader) value(n *yaml.Node, into reflect.Value, path string) {
	r.note(path, n.Line)
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		r.fail(path, "alias", "write the value out", "anchors and aliases are not understood")
		return
	}
	if n.Tag == "!!null" {
		return // a key with nothing behind it
	}
	switch into.Kind() {
	case reflect.Struct:
		r.mapping(n, into, path)
	case reflect.Slice:
		r.sequence(n, into, path)
	case reflect.Pointer:
		target := reflect.New(into.Type().Elem())
		r.value(n, target.Elem(), path)
		into.Set(target)
	default:
		r.scalar(n, into, path)
	}
}

func (r *reader) mapping(n *yaml.Node, into reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.fail(path, "type", "", "%s needs keys with values", label(path))
		return
	}
	fields := fieldsOf(into.Type())
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		field, known := fields[key.Value]
		r.note(at, key.Line)
		switch {
		case !known && into.Type() == reflect.TypeFor[whenDoc]() && warm[key.Value] != "":
			r.fail(at, "not_known_at_submit", "use what the lead itself says, such as domain_class or product, and treat the rest when the rep has it",
				"no rule can ask for %s: %s, and routing does not wait for that", key.Value, warm[key.Value])
		case !known:
			r.fail(at, "unknown_key", suggestion(key.Value, fields), "%s has no key %q", label(path), key.Value)
		case seen[key.Value]:
			r.fail(at, "duplicate", "remove one of them", "%s has the key %q twice", label(path), key.Value)
		default:
			r.value(value, into.Field(field), at)
			r.note(at, key.Line)
		}
		seen[key.Value] = true
	}
}

// warm are facts that somebody must be asked for after the lead is here, and why.
var warm = map[string]string{
	"industry":       "it comes from a look-up of the company",
	"headcount":      "it comes from a look-up of the company",
	"employees":      "it comes from a look-up of the company",
	"revenue":        "it comes from a look-up of the company",
	"score":          "it is worked out once the company is known",
	"verified_phone": "a number is verified by calling or writing to it",
}

// grammar remembers the keys of each part of the document.
var grammar sync.Map

// fieldsOf gives the fields of a part of the document by their keys.
func fieldsOf(t reflect.Type) map[string]int {
	if known, ok := grammar.Load(t); ok {
		return known.(map[string]int)
	}
	fields := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		fields[name] = i
	}
	grammar.Store(t, fields)
	return fields
}

func suggestion(key string, fields map[string]int) string {
	known := make([]string, 0, len(fields))
	for name := range fields {
		known = append(known, name)
	}
	if near := routing.Nearest(key, known); near != "" {
		return "did you mean " + near + "?"
	}
	slices.Sort(known)
	return "known here: " + strings.Join(known, ", ")
}

func (r *reader) sequence(n *yaml.Node, into reflect.Value, path string) {
	items := n.Content
	if n.Kind == yaml.ScalarNode && into.Type().Elem().Kind() == reflect.String {
		items = []*yaml.Node{n} // one value needs no brackets
	} else if n.Kind != yaml.SequenceNode {
		r.fail(path, "type", "write one entry a line, each starting with a dash", "%s needs a list", label(path))
		return
	}
	into.Grow(len(items))
	for _, item := range items {
		at := into.Len()
		into.SetLen(at + 1)
		into.Index(at).SetZero()
		r.value(item, into.Index(at), path+"["+strconv.Itoa(at)+"]")
	}
}

func (r *reader) scalar(n *yaml.Node, into reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		r.fail(path, "type", "", "%s needs a single value", label(path))
		return
	}
	switch into.Kind() {
	case reflect.String:
		// The text as written: NO stays the country and 0111 a postal code, whatever YAML takes them for.
		into.SetString(strings.TrimSpace(n.Value))
	case reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if err != nil {
			r.fail(path, "type", "use true or false", "%s cannot be %q", label(path), n.Value)
		}
		into.SetBool(b)
	case reflect.Int:
		i, err := strconv.Atoi(n.Value)
		if err != nil {
			r.fail(path, "type", "use a whole number", "%s cannot be %q", label(path), n.Value)
		}
		into.SetInt(int64(i))
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			r.fail(path, "type", "use a number", "%s cannot be %q", label(path), n.Value)
			f = 1
		}
		into.SetFloat(f)
	}
}

var sections = map[string]string{
	"forms": "form", "teams": "team", "reps": "rep", "pools": "pool", "territories": "territory", "rules": "rule", "lists": "list", "sets": "set",
	"tests": "test", "connections": "connection", "clients": "client", "fields": "field", "members": "member", "calendars": "calendar", "groups": "group",
}

// label is a path in words: pools[0].offer is "offer", pools[0] is "pool".
func label(path string) string {
	if path == "" {
		return "the configuration"
	}
	last := path[strings.LastIndexByte(path, '.')+1:]
	if name, _, isItem := strings.Cut(last, "["); isItem {
		if one, ok := sections[name]; ok {
			return "a " + one
		}
		return "an entry of " + name
	}
	return last
}
