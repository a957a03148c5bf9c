package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the operating system's account that runs the private server. PostgreSQL refuses to run as root.
type account struct {
	uid, gid uint32
	switched bool // we are root and hand the server to another account
}

// serverAccount gives our own account, or, for root, that of PostgreSQL's package, or nobody.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil //nolint:gosec // ids are not negative here
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(found.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(found.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			return account{uid: uint32(uid), gid: uint32(gid), switched: true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody: start leadline as an ordinary user")
}

// attributes makes a child a process group of its own, so that Ctrl-C in a terminal reaches us and not the database.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.switched {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own makes a folder that only the account can look into. It refuses one that somebody else made.
func (a account) own(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		if a.switched {
			err = os.Chown(dir, int(a.uid), int(a.gid))
		}
		return err
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || stat.Uid != a.uid || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s belongs to somebody else or is open to others", dir)
	}
	return nil
}

// mayEnter tells whether the account can pass through dir and all folders above it. Our own is not examined: the system will
// say so itself, and knows more ways to give access than are looked at here.
func (a account) mayEnter(dir string) bool {
	if !a.switched {
		return true
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || !a.mayPass(info) {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

func (a account) mayPass(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	switch mode := info.Mode().Perm(); {
	case stat.Uid == a.uid:
		return mode&0o100 != 0
	case stat.Gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
