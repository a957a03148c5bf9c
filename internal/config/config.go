// Package config reads every setting that Leadline has: from the environment and, under the same name, from flags.
//
// One flat struct, one line a setting. Unknown or bad settings stop the start, all of them named at once. config imports
// nothing of ours and reads no environment by itself: main passes it.
package config

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"sort"
	"strings"
)

// Config is the settings of one run, all valid. It does not print itself: credentials are among them.
type Config struct {
	DatabaseURL    string         // empty: the private PostgreSQL in DataDir
	Addr           string         // where the web server listens
	PublicURL      *url.URL       // how browsers reach us; made from Addr when not set
	DataDir        string         // private PostgreSQL, generated secret
	Secret         Key            // 32 bytes, or nil: main makes one and keeps it in DataDir
	KEK            KeySource      // of the key-encryption key; not given: it is derived from Secret
	KEKPrevious    KeySource      // of the key-encryption key before it, while data keys wrapped by that one are left
	AuditAnchor    []string       // where signed heads of the audit chain go: file:/path and http(s) URLs
	ErasureList    string         // file that keeps who was erased, outside the database
	Production     bool           // refuses what a laptop may do
	SingleNodeDB   bool           // production without a synchronous standby, said in so many words
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	OutboundAllow  []netip.Prefix // private networks that configured URLs may reach
	SMTP           SMTP           // the server that takes our mail; not given: nothing is mailed
	MailFrom       *mail.Address  // who our mail is from; given whenever SMTP is
	TLS            TLS            // the port for TLS; Addr empty: none
	Connections    int            // open at once, all together; 0: the server's own limit
	PerAddress     int            // open at once from one address; 0: no limit
	ReputationDir  string         // lists of addresses and domains to allow or deny; empty: none
	LogLevel       slog.Level
}

// Format hides the settings from every verb.
func (Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[settings]") }

// LogValue hides the settings from logs.
func (Config) LogValue() slog.Value { return slog.StringValue("[settings]") }

// MarshalText hides the settings from JSON and whatever else asks for text.
func (Config) MarshalText() ([]byte, error) { return []byte("[settings]"), nil }

// setting is one line of the table: how it is called, what it means, how its text becomes a value.
type setting struct {
	name  string
	help  string
	parse func(c *Config, text string) error
}

// settings is the whole table. A flag has the setting's name in lower case, with or without "leadline", "-" for "_" allowed.
var settings = []setting{
	{"DATABASE_URL", "a direct or session-pooled PostgreSQL connection; empty: a private one is started", func(c *Config, s string) error {
		if !strings.HasPrefix(s, "postgres://") && !strings.HasPrefix(s, "postgresql://") && !strings.Contains(s, "=") {
			return fmt.Errorf("give a postgres:// address or key=value pairs")
		}
		c.DatabaseURL = s
		return nil
	}},
	{"LEADLINE_ADDR", "listen here (default 127.0.0.1:8080)", func(c *Config, s string) error {
		if _, port, ok := strings.Cut(s, ":"); !ok || port == "" {
			return fmt.Errorf("give host:port, like 127.0.0.1:8080")
		}
		c.Addr = s
		return nil
	}},
	{"LEADLINE_PUBLIC_URL", "how browsers reach this server, like https://leads.example.com", parsePublicURL},
	{"LEADLINE_DATA_DIR", "where the private PostgreSQL and the generated secret are kept", func(c *Config, s string) error {
		dir, err := filepath.Abs(s)
		c.DataDir = dir
		return err
	}},
	{"LEADLINE_SECRET", "32 bytes in base64; without it one is made and kept in the data directory", func(c *Config, s string) error {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) != 32 {
			return fmt.Errorf("give 32 bytes in base64, like the output of: openssl rand -base64 32")
		}
		c.Secret = b
		return nil
	}},
	{"LEADLINE_KEK", "the key that protects all other keys: 32 bytes in base64, file:/path or command:/path arguments (default: made from LEADLINE_SECRET)", func(c *Config, s string) (err error) {
		c.KEK, err = parseKeySource(s)
		return err
	}},
	{"LEADLINE_KEK_PREVIOUS", "the key before LEADLINE_KEK, until leadline secret rotate --master has run", func(c *Config, s string) (err error) {
		c.KEKPrevious, err = parseKeySource(s)
		return err
	}},
	{"LEADLINE_AUDIT_ANCHOR", "where signed heads of the audit chain go: file:/path and web addresses, separated by commas (default a file in the data directory)", func(c *Config, s string) (err error) {
		c.AuditAnchor, err = parseAnchors(s)
		return err
	}},
	{"LEADLINE_ERASURE_LIST", "file that keeps who was erased, for a restored backup (default in the data directory)", func(c *Config, s string) error {
		if !filepath.IsAbs(s) { // commands and servers run from different directories and must mean one file
			return fmt.Errorf("give a whole path, like /var/backups/leadline/erasures.jsonl")
		}
		c.ErasureList = filepath.Clean(s)
		return nil
	}},
	{"LEADLINE_ENV", "production makes https, a secret and a safe database obligatory", func(c *Config, s string) error {
		if s != "production" && s != "development" {
			return fmt.Errorf("give production or development")
		}
		c.Production = s == "production"
		return nil
	}},
	{"LEADLINE_SINGLE_NODE_DB", "yes: production may run on a database without a synchronous standby", func(c *Config, s string) error {
		if s != "yes" && s != "no" {
			return fmt.Errorf("give yes or no")
		}
		c.SingleNodeDB = s == "yes"
		return nil
	}},
	{"LEADLINE_TRUSTED_PROXIES", "addresses or CIDRs, separated by commas, whose X-Forwarded-For is believed", func(c *Config, s string) (err error) {
		c.TrustedProxies, err = parsePrefixes(s)
		return err
	}},
	{"LEADLINE_TLS_ADDR", "listen here with TLS 1.3, for HTTP/1.1 and HTTP/2 on TCP and HTTP/3 on UDP, like :443", func(c *Config, s string) error {
		if _, port, err := net.SplitHostPort(s); err != nil || port == "" {
			return fmt.Errorf("give host:port or :port, like :443")
		}
		c.TLS.Addr = s
		return nil
	}},
	{"LEADLINE_TLS_CERT", "PEM file with the certificate and its chain; a new one is taken over without a restart", func(c *Config, s string) (err error) {
		c.TLS.Cert, err = filepath.Abs(s)
		return err
	}},
	{"LEADLINE_TLS_KEY", "PEM file with the certificate's key", func(c *Config, s string) (err error) {
		c.TLS.Key, err = filepath.Abs(s)
		return err
	}},
	{"LEADLINE_TLS_DOMAINS", "names, separated by commas, for which certificates are obtained automatically (ACME) instead of from files", func(c *Config, s string) (err error) {
		c.TLS.Domains, err = parseDomains(s)
		return err
	}},
	{"LEADLINE_TLS_ACME_URL", "directory of the authority that issues them (default Let's Encrypt, whose terms you agree to)", func(c *Config, s string) error {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return fmt.Errorf("give an https address, like https://acme-v02.api.letsencrypt.org/directory")
		}
		c.TLS.ACME = s
		return nil
	}},
	{"LEADLINE_CONNECTIONS", "connections open at once, all together (default 20000, or three quarters of the files a process may open if that is less)", func(c *Config, s string) (err error) {
		c.Connections, err = parseCount(s)
		return err
	}},
	{"LEADLINE_CONNECTIONS_PER_ADDRESS", "connections open at once from one address (default no limit: an office may share one)", func(c *Config, s string) (err error) {
		c.PerAddress, err = parseCount(s)
		return err
	}},
	{"LEADLINE_OUTBOUND_ALLOW", "CIDRs of private networks that configured URLs may reach", func(c *Config, s string) (err error) {
		c.OutboundAllow, err = parsePrefixes(s)
		return err
	}},
	{"LEADLINE_SMTP_URL", "server that takes our mail: smtps://user:password@host:465 or smtp://user:password@host:587; the password may be env:NAME or secret:NAME", func(c *Config, s string) (err error) {
		c.SMTP, err = ParseSMTP(s)
		return err
	}},
	{"LEADLINE_MAIL_FROM", "who our mail is from, like Leadline <leadline@example.com>", func(c *Config, s string) (err error) {
		c.MailFrom, err = parseMailFrom(s)
		return err
	}},
	{"LEADLINE_REPUTATION_DIR", "directory with lists of addresses and e-mail domains: deny*.txt, allow*.txt", func(c *Config, s string) error {
		dir, err := filepath.Abs(s)
		c.ReputationDir = dir
		return err
	}},
	{"LEADLINE_LOG_LEVEL", "debug, info, warn or error (default info)", func(c *Config, s string) error {
		if err := c.LogLevel.UnmarshalText([]byte(s)); err != nil {
			return fmt.Errorf("give debug, info, warn or error")
		}
		return nil
	}},
}

// notYet names settings of the contract that this version does not have; using one must not pass in silence.
var notYet = map[string]string{
	"LEADLINE_REGION": "this version serves one region",
}

// Error names everything that is wrong with the settings, one line each.
type Error struct{ Problems []string }

func (e *Error) Error() string {
	return "settings: " + strings.Join(e.Problems, "; ")
}

// Load reads settings from environ ("NAME=value" pairs) and flags (flag name to value, which wins). dataDir is the default
// data directory. The error, if any, is an *Error.
func Load(environ []string, flags map[string]string, dataDir string) (Config, error) {
	c := Config{Addr: "127.0.0.1:8080", DataDir: dataDir, LogLevel: slog.LevelInfo}
	var bad []string
	given := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if known(name) != nil {
			given[name] = value
		} else if remedy, ok := notYet[name]; ok && value != "" {
			bad = append(bad, fmt.Sprintf("%s is not available in this version: %s", name, remedy))
		} else if strings.HasPrefix(name, "LEADLINE_") && !ok {
			bad = append(bad, fmt.Sprintf("%s is not a setting of Leadline; see leadline help", name))
		}
	}
	for flag, value := range flags {
		given[known(flag).name] = value
	}
	for _, s := range settings {
		if text := strings.TrimSpace(given[s.name]); text != "" {
			if err := s.parse(&c, text); err != nil {
				bad = append(bad, fmt.Sprintf("%s: %v", s.name, err))
			}
		}
	}
	bad = append(bad, c.complete()...)
	if len(bad) > 0 {
		sort.Strings(bad)
		return c, &Error{Problems: bad}
	}
	return c, nil
}

// IsFlag tells whether a flag name (any of its spellings, without dashes in front) is a setting's.
func IsFlag(flag string) bool { return known(flag) != nil }

// Help lists the settings, one line each.
func Help() string {
	var b strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&b, "  %-32s %s\n", s.name, s.help)
	}
	return b.String()
}

// known finds a setting by its name or by any spelling of its flag.
func known(name string) *setting {
	key := canonical(name)
	for i := range settings {
		if settings[i].name == name || canonical(settings[i].name) == key && name != strings.ToUpper(name) {
			return &settings[i]
		}
	}
	return nil
}

func canonical(name string) string {
	return strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "leadline-")
}

// complete fills what follows from other settings and checks what must hold between them.
func (c *Config) complete() (bad []string) {
	bad = c.completeTLS()
	if c.PublicURL == nil {
		host := c.Addr
		if strings.HasPrefix(host, ":") || strings.HasPrefix(host, "0.0.0.0:") || strings.HasPrefix(host, "[::]:") {
			host = "127.0.0.1" + host[strings.LastIndex(host, ":"):]
		}
		c.PublicURL = &url.URL{Scheme: "http", Host: host}
	}
	if c.AuditAnchor == nil {
		c.AuditAnchor = []string{"file:" + filepath.Join(c.DataDir, "audit-anchor.jsonl")}
	}
	if c.ErasureList == "" {
		c.ErasureList = filepath.Join(c.DataDir, "erasures.jsonl")
	}
	if c.SMTP.Given() && c.MailFrom == nil {
		bad = append(bad, "LEADLINE_MAIL_FROM: must be set with LEADLINE_SMTP_URL: mail needs a sender")
	}
	if !c.Production {
		return bad
	}
	if c.PublicURL.Scheme != "https" {
		bad = append(bad, "LEADLINE_PUBLIC_URL: must be an https address in production")
	}
	if c.Secret == nil {
		bad = append(bad, "LEADLINE_SECRET: must be set in production")
	}
	return bad
}

func parsePublicURL(c *Config, s string) error {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("give scheme and host alone, like https://leads.example.com")
	}
	c.PublicURL = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

// parseAnchors takes a list of files and web addresses apart. An address is not repeated: a path may hold a credential.
func parseAnchors(s string) ([]string, error) {
	var out []string
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if path, ok := strings.CutPrefix(part, "file:"); ok && filepath.IsAbs(path) {
			out = append(out, "file:"+filepath.Clean(path))
			continue
		}
		u, err := url.Parse(part)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return nil, fmt.Errorf("give file:/absolute/path or web addresses without user and password, separated by commas")
		}
		out = append(out, u.String())
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("give at least one file:/absolute/path or web address")
	}
	return out, nil
}

func parsePrefixes(s string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if addr, err := netip.ParseAddr(part); err == nil {
			out = append(out, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("%q is no address or CIDR like 10.0.0.0/8", part)
		}
		out = append(out, p)
	}
	return out, nil
}
