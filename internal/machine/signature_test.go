package machine_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
	"time"

	"leadline/internal/machine"
	"leadline/internal/privacy"
)

func key(t *testing.T, text privacy.Secret) machine.Key {
	t.Helper()
	k, err := machine.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A message that a library of the scheme is tested with.
const (
	vectorKey       = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var vectorTime = time.Unix(1614265330, 0)

func TestSign_IsTheStandardsSignature(t *testing.T) {
	t.Parallel()
	if got := key(t, vectorKey).Sign(vectorID, vectorTime, []byte(vectorBody)); got != vectorSignature {
		t.Errorf("got %s", got)
	}
}

func TestIdentify_FindsWhoseKeyItWas(t *testing.T) {
	t.Parallel()
	old, next, other := key(t, vectorKey), key(t, machine.NewKey()), key(t, machine.NewKey())
	clients := []machine.Client{{Slug: "none"}, {Slug: "other", Keys: []machine.Key{other}}, {Slug: "partner", Keys: []machine.Key{old, next}}}
	for name, c := range map[string]struct {
		key        machine.Key
		signatures string
		ahead      time.Duration
		want       string
	}{
		"first key":         {key: old, want: "partner"},
		"next key":          {key: next, want: "partner"},
		"another's":         {key: other, want: "other"},
		"nobody's":          {key: key(t, machine.NewKey())},
		"among others":      {key: old, signatures: "v1,AAAA v1a,BBBB v2,CCCC", want: "partner"},
		"among too many":    {key: old, signatures: "v1,A v1,B v1,C v1,D v1,E v1,F v1,G v1,H"},
		"just in time":      {key: old, ahead: 300 * time.Second, want: "partner"},
		"just not too soon": {key: old, ahead: -300 * time.Second, want: "partner"},
		"too late":          {key: old, ahead: 301 * time.Second},
		"too soon":          {key: old, ahead: -301 * time.Second},
	} {
		m := machine.Message{
			IDs: []string{vectorID}, Timestamps: []string{"1614265330"}, Body: []byte(vectorBody),
			Signatures: []string{c.signatures + " " + c.key.Sign(vectorID, vectorTime, []byte(vectorBody))},
		}
		got, _, ok := m.Identify(clients, vectorTime.Add(c.ahead))
		if ok != (c.want != "") || ok && got.Slug != c.want {
			t.Errorf("%s: %v %v", name, got, ok)
		}
	}
}

// Times and ids that are signed rightly and are none.
func TestIdentify_TakesOneSpellingOfATimeAndOrdinaryIDs(t *testing.T) {
	t.Parallel()
	k := key(t, vectorKey)
	clients := []machine.Client{{Slug: "partner", Keys: []machine.Key{k}}}
	for _, c := range []struct{ id, stamp string }{
		{"", "1614265330"},
		{"a.b", "1614265330"},
		{"a b", "1614265330"},
		{"a\x7f", "1614265330"},
		{"ä", "1614265330"},
		{"a", ""},
		{"a", "+1614265330"},
		{"a", "1614265330.0"},
		{"a", "0000001614265330"},
		{"a", "1.6e9"},
		{"a", "0x60377572"},
		{"a", "99999999999999999999"},
		{"a", "-1"},
	} {
		m := machine.Message{IDs: []string{c.id}, Timestamps: []string{c.stamp}, Body: []byte("x"), Signatures: []string{machine.SignText(k, c.id, c.stamp, "x")}}
		if _, _, ok := m.Identify(clients, vectorTime); ok {
			t.Errorf("id %q at %q was taken", c.id, c.stamp)
		}
	}
}

// How long a wrong signature takes must not tell how much of it was right: that cannot be measured reliably here, so the code is read.
func TestSignatures_AreComparedInConstantTime(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "signature.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != "matches" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					t.Error("something is compared with an operator")
				}
			case *ast.SelectorExpr:
				pkg, _ := n.X.(*ast.Ident)
				if pkg != nil && pkg.Name == "hmac" && n.Sel.Name == "Equal" {
					found = true
				}
			}
			return true
		})
	}
	if !found {
		t.Error("signatures are not compared by hmac.Equal")
	}
}
