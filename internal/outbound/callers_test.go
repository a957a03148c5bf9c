package outbound_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// callsOut are the ways to open a connection without the guard, by package.
var callsOut = map[string][]string{
	"net/http":                                  {"Client", "DefaultClient", "DefaultTransport", "Transport", "Get", "Head", "Post", "PostForm"},
	"net/http/httputil":                         {"ReverseProxy", "NewSingleHostReverseProxy"},
	"net":                                       {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer"},
	"net/smtp":                                  {"Dial", "SendMail"},
	"github.com/wneessen/go-mail":               {"NewClient", "Client", "QuickSend"},
	"github.com/emersion/go-smtp":               {"Dial", "DialTLS", "DialStartTLS", "SendMail", "SendMailTLS"},
	"crypto/tls":                                {"Dial", "DialWithDialer", "Dialer"},
	"golang.org/x/net/websocket":                {"Dial", "DialConfig"},
	"github.com/fasthttp/websocket":             {"Dialer", "DefaultDialer"},
	"github.com/gofiber/fiber/v2":               {"Client", "Agent", "AcquireClient", "AcquireAgent", "Get", "Head", "Post", "Put", "Patch", "Delete"},
	"github.com/valyala/fasthttp":               {"Client", "HostClient", "PipelineClient", "LBClient", "Get", "GetTimeout", "Post", "Do", "DoTimeout", "Dial", "TCPDialer"},
	"github.com/valyala/fasthttp/fasthttpproxy": {"FasthttpHTTPDialer", "FasthttpSocksDialer"},
}

// needsNoGuard are the places whose address no configuration names, each with what it is.
var needsNoGuard = map[string]string{
	"internal/outbound":        "the guarded client itself",
	"internal/postgres":        "the database's address, given by whoever runs the server",
	"internal/postgres/pgtest": "the database of the tests",
	"internal/load":            "the load generator, a command for one's own server",
	"internal/bench":           "the bench and its own children",
	"internal/torture/witness": "the witness and the servers it watches",
	"internal/demo":            "the demo posts to the server it is part of",
	"internal/mail":            "the mail server's address, given by whoever runs the server",
}

func TestEverybodyCallsOutThroughThisPackage(t *testing.T) {
	t.Parallel()
	const root = "../.."
	files := 0
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "bin") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		within, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		if _, free := needsNoGuard[filepath.ToSlash(within)]; free {
			return nil
		}
		files++
		for _, found := range outgoing(t, file) {
			t.Errorf("%s: connections to addresses from outside go through outbound.Client", found)
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("%d files were read: %v", files, err)
	}
}

// outgoing lists the uses of callsOut in a file.
func outgoing(t *testing.T, file string) []string {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{} // what the file calls a package
	for _, spec := range parsed.Imports {
		full, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Base(full)
		if name == "v2" {
			name = path.Base(path.Dir(full))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = full
	}
	var found []string
	ast.Inspect(parsed, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if left, ok := selector.X.(*ast.Ident); ok && slices.Contains(callsOut[names[left.Name]], selector.Sel.Name) {
				found = append(found, set.Position(selector.Pos()).String()+": "+left.Name+"."+selector.Sel.Name)
			}
		}
		return true
	})
	return found
}

func TestOutgoing_SeesAClient(t *testing.T) {
	t.Parallel()
	if len(outgoing(t, "outbound.go")) < 2 {
		t.Error("the guarded client's own transport and dialer were not seen")
	}
}
