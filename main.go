// Leadline takes web form posts, makes them durable leads, routes each to a rep, shows it live on the rep's console and writes
// it to the CRM, all within a second. This package is the entrance: it reads the command line and wires the parts together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"leadline/internal/audit"
	"leadline/internal/config"
	"leadline/internal/fault"
)

// version is set by the build.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// The exit codes of the contract.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2
)

// call is one invocation: the command line taken apart and the settings it resulted in.
type call struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
	cfg            config.Config
	flags          map[string]string // the command's own flags that were given; "true" for switches
	args           []string          // what is no flag
	now            func() time.Time
}

// env reads one variable of the environment that this call was given.
func (c *call) env(name string) (string, bool) {
	for _, pair := range c.environ {
		if k, v, ok := strings.Cut(pair, "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// errHelp ends the reading of a command line on which help was asked for.
var errHelp = errors.New("help was asked for")

// usageError is a wrong command line; it exits with 2.
type usageError string

func (e usageError) Error() string { return string(e) }

// run does one command and returns its exit code. Everything it needs of the outside comes in as arguments.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
		name, args = "help", args[1:]
	} else if len(args) > 0 && args[0] == "--version" {
		name, args = "version", args[1:]
	}
	cmd := find(name, &args)
	if cmd == nil {
		fmt.Fprintf(stderr, "leadline: there is no command %q; %s\n", strings.TrimSpace(name+" "+firstWord(args)), remedy(name))
		return exitUsage
	}
	c := &call{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	err := c.parse(cmd, args)
	if err == nil && len(c.args) > 0 && !cmd.words {
		err = usageError("there is a word that belongs to no flag") // not repeated: it may be an address or a credential
	}
	if cmd.name != "serve" { // whatever a command changes was done by somebody at the command line
		ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.Command})
	}
	if err == nil {
		err = cmd.run(ctx, c)
	}
	var usage usageError
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprintf(stdout, "leadline %s\n\n%s\n", cmd.usage, cmd.summary)
		return exitFine
	case err == nil:
		return exitFine
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "leadline %s: %v; usage: leadline %s\n", cmd.name, err, cmd.usage)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "leadline %s: %s\n", cmd.name, plainly(err))
		return exitFailed
	}
}

// plainly gives what a person should read of an error: a fault's own sentence, with what is wrong with each answer, else all of it.
func plainly(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err.Error()
	}
	text := f.Message
	for _, field := range f.Fields {
		text += " " + field.Field + ": " + field.Message
	}
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	// What was attempted stands before the fault.
	if before, _, ok := strings.Cut(err.Error(), string(f.Kind)+": "+f.Message); ok {
		text = before + text
	}
	return text
}

// remedy says what there is instead of a command that there is not.
func remedy(name string) string {
	var like []string
	for _, cmd := range commands() {
		if strings.HasPrefix(cmd.name, name+" ") {
			like = append(like, cmd.name)
		}
	}
	if len(like) == 0 {
		return "see leadline help"
	}
	return "there are: " + strings.Join(like, ", ")
}

// firstWord is the first argument that is no flag, if it comes first.
func firstWord(args []string) string {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return ""
	}
	return args[0]
}

// parse takes flags (anywhere on the line) from arguments and loads the settings.
func (c *call) parse(cmd *command, args []string) error {
	c.flags = map[string]string{}
	settings := map[string]string{}
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			c.args = append(c.args, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(args[i], "-") || args[i] == "-" {
			c.args = append(c.args, args[i])
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if name == "help" || name == "h" {
			return errHelp
		}
		takesValue, own := cmd.flags[name]
		if !own && !config.IsFlag(name) {
			return usageError(fmt.Sprintf("there is no flag --%s", name))
		}
		if own && !takesValue {
			if hasValue && value != "true" && value != "false" {
				return usageError(fmt.Sprintf("--%s is a switch and takes no value", name))
			}
			if value != "false" {
				c.flags[name] = "true"
			}
			continue
		}
		if !hasValue {
			if i++; i == len(args) {
				return usageError(fmt.Sprintf("--%s needs a value", name))
			}
			value = args[i]
		}
		if own {
			c.flags[name] = value
		} else {
			settings[name] = value
		}
	}
	if cmd.plain {
		return nil
	}
	cfg, err := config.Load(c.environ, settings, c.defaultDataDir())
	c.cfg = cfg
	return err
}

// defaultDataDir is the user's data directory plus leadline, by the conventions of the system.
func (c *call) defaultDataDir() string {
	if dir, ok := c.env("XDG_DATA_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "leadline")
	}
	if os.Geteuid() == 0 {
		return "/var/lib/leadline"
	}
	if home, ok := c.env("HOME"); ok && home != "" {
		return filepath.Join(home, ".local", "share", "leadline")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("leadline-%d", os.Geteuid()))
}
