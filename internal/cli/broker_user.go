package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/colibri-mqtt/colibri/internal/config"
)

// account is the user that the broker becomes once it has what only root may take: ports
// below 1024, and files in directories of root.
type account struct {
	name     string
	uid, gid int
	groups   []int // gid among them
	home     string
}

// chooseAccount returns the account that c asks for, nil to stay who we are. Called as
// mosquitto, root gives its rights away as Mosquitto does: to the user mosquitto, else to
// nobody. lookup is user.Lookup.
func chooseAccount(c *config.Config, mosquitto, root bool, lookup func(string) (*user.User, error)) (*account, error) {
	u := c.User
	switch {
	case !root && u.Name != "":
		c.Warnings = append(c.Warnings, config.Warning{File: u.File, Line: u.Line,
			Text: "user has no effect, because the broker was not started as root"})
		return nil, nil
	case !root, u.Name == "root", u.Name == "" && !mosquitto:
		return nil, nil
	}
	name := u.Name
	if name == "" {
		name = "mosquitto"
	}
	found, err := lookup(name)
	if err != nil && name == "mosquitto" {
		found, err = lookup("nobody")
	}
	if err == nil {
		return newAccount(found)
	}
	if _, unknown := errors.AsType[user.UnknownUserError](err); !unknown {
		return nil, &config.Error{File: u.File, Line: u.Line, Key: "user", Text: fmt.Sprintf("the user '%s' cannot be looked up: %v", shown(name), err)}
	}
	if u.Name == "" {
		return nil, errors.New("there is neither a user 'mosquitto' nor a user 'nobody' whom the broker could become; make one of them, or write 'user NAME' into a configuration")
	}
	return nil, &config.Error{File: u.File, Line: u.Line, Key: "user",
		Text: fmt.Sprintf("there is no user '%s' on this machine; make it, or write the name of another one", shown(name))}
}

// newAccount returns the account of u.
func newAccount(u *user.User) (*account, error) {
	a := &account{name: u.Username, home: u.HomeDir}
	var err, wrong error
	a.uid, err = strconv.Atoi(u.Uid)
	a.gid, wrong = strconv.Atoi(u.Gid)
	ids, failed := u.GroupIds()
	if err = errors.Join(err, wrong, failed); err != nil {
		return nil, fmt.Errorf("the groups of the user '%s' cannot be found out: %w", shown(u.Username), err)
	}
	for _, id := range ids {
		group, err := strconv.Atoi(id)
		if err != nil {
			return nil, fmt.Errorf("the groups of the user '%s' cannot be found out: %w", shown(u.Username), err)
		}
		a.groups = append(a.groups, group)
	}
	return a, nil
}

// settle gives the account what the broker makes for itself, and becomes it. What was there before
// keeps its owner: to change that would serve whoever can put a link there.
func (s *brokerServer) settle() error {
	a := s.account
	if a == nil {
		return nil
	}
	for _, l := range s.listeners {
		if l.socket == "" {
			continue
		}
		uid, gid := a.uid, a.gid
		if l.owner.Owner != "" {
			uid = -1 // it has been given to someone else
		}
		if l.owner.Group != "" {
			gid = -1
		}
		if err := os.Lchown(l.socket, uid, gid); err != nil {
			return fmt.Errorf("the socket cannot be given to the user '%s': %w", a.name, err)
		}
	}
	if s.wantsState() {
		dir, err := s.stateDirectory()
		if err == nil && dir != "" {
			err = a.makeDirectory(dir)
		}
		if err != nil {
			return err
		}
	}
	if err := a.become(); err != nil {
		return fmt.Errorf("the broker cannot become the user '%s': %w; write 'user root' if this system does not allow it", a.name, err)
	}
	if name := s.config.Log.File; name != "" {
		file, err := openLogFile(name)
		if err != nil {
			s.log.printf(logWarning, "Warning: the user '%s' may not open the log file, so it cannot be opened again when it was moved away: %v.", a.name, err)
		} else {
			file.Close()
		}
	}
	return nil
}

// makeDirectory makes dir and what is missing above it, for the account.
func (a *account) makeDirectory(dir string) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil // what is wrong shows when the account opens it
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := a.makeDirectory(parent); err != nil {
			return err
		}
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = os.Lchown(dir, a.uid, a.gid)
	}
	if err != nil {
		return fmt.Errorf("the directory for the state cannot be made: %w", err)
	}
	return nil
}

// createLogFile makes the log file for the account, if it does not exist.
func (a *account) createLogFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = file.Chown(a.uid, a.gid)
		file.Close()
	}
	if err != nil {
		return fmt.Errorf("the log file cannot be opened: %w", err)
	}
	return nil
}

// openFile opens a file to write before the broker becomes a. A link is only followed then in a
// directory of root, such as /dev: elsewhere somebody with fewer rights may have put it there.
// Without an account it is os.OpenFile.
func (a *account) openFile(path string, flags int, mode fs.FileMode) (*os.File, error) {
	if a == nil {
		return os.OpenFile(path, flags, mode)
	}
	file, err := os.OpenFile(path, flags|noFollow, mode)
	switch {
	case !errors.Is(err, syscall.ELOOP):
		return file, err
	case onlyRootWrites(filepath.Dir(path)):
		return os.OpenFile(path, flags, mode)
	}
	return nil, fmt.Errorf("%s is a link, which is not followed with the rights of root; name the file that it leads to", shown(path))
}

// writePID writes the number of our process into a file.
func (a *account) writePID(path string) error {
	file, err := a.openFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strconv.Itoa(os.Getpid()))
	return errors.Join(err, file.Close())
}

// advice names the account, behind an error about a file that it may not use; it is empty for
// other errors.
func (a *account) advice(err error) string {
	if a == nil || !errors.Is(err, fs.ErrPermission) {
		return ""
	}
	return fmt.Sprintf("; the user is '%s'", a.name)
}
