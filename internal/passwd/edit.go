package passwd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Edit is a file that is being changed: a password file, or one of ScramUsers. Comments and
// empty lines stay where they are. It is not safe for concurrent use, and two programs
// that change a file at once do not see each other's changes.
type Edit struct {
	path  string
	lines []string // without their ends
}

// Create begins a new file at path; Save replaces one that is there.
func Create(path string) *Edit { return &Edit{path: path} }

// Open reads the file at path. A line that is none of a user is a *LineError; whether the
// passwords are hashed does not matter.
func Open(path string) (*Edit, error) {
	content, err := contents(path)
	if err != nil {
		return nil, err
	}
	e := &Edit{path: path}
	for line := range strings.Lines(content) {
		line = strings.TrimRight(line, "\r\n")
		if _, _, err := cutLine(line); err != nil {
			return nil, &LineError{File: path, Line: len(e.lines) + 1, Text: err.Error()}
		}
		e.lines = append(e.lines, line)
	}
	return e, nil
}

// Set gives a user a value: a Hash or a ScramUser as text. Of a user that is there several
// times only this line stays. It reports whether the user was there.
func (e *Edit) Set(user, value string) (replaced bool) {
	line := user + ":" + value
	at := slices.IndexFunc(e.lines, is(user))
	if at < 0 {
		e.lines = append(e.lines, line)
		return false
	}
	e.lines[at] = line
	rest := slices.DeleteFunc(e.lines[at+1:], is(user))
	e.lines = e.lines[:at+1+len(rest)]
	return true
}

// Delete takes a user out and reports whether it was there.
func (e *Edit) Delete(user string) bool {
	before := len(e.lines)
	e.lines = slices.DeleteFunc(e.lines, is(user))
	return len(e.lines) < before
}

// is reports whether a line names the user.
func is(user string) func(line string) bool {
	return func(line string) bool {
		named, _, err := cutLine(line)
		return err == nil && named == user
	}
}

// HashPlain replaces every password that is not hashed by what hash makes of it.
func (e *Edit) HashPlain(hash func(password []byte) (Hash, error)) error {
	for i, line := range e.lines {
		user, value, err := cutLine(line)
		if err != nil || user == "" {
			continue
		}
		text, _, _ := strings.Cut(value, ":")
		if _, err := ParseHash(strings.TrimSpace(text)); err == nil {
			continue
		}
		h, err := hash([]byte(value))
		if err != nil {
			return err
		}
		e.lines[i] = user + ":" + h.String()
	}
	return nil
}

// Text returns the whole file.
func (e *Edit) Text() string {
	var b strings.Builder
	for _, line := range e.lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// Save writes the file. Who reads it meanwhile finds the old or the new one, never a part. A
// file that was there keeps its mode and owner; a new one has the mode 0600. A file that is
// a mount point of its own, as in a container, cannot be replaced and is written over.
func (e *Edit) Save() error {
	path := e.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	old, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	case err != nil:
		return plain(err)
	case !old.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return plain(err)
	}
	defer os.Remove(file.Name()) // in vain after the Rename
	if err := e.write(file, old); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); errors.Is(err, syscall.EBUSY) && old != nil {
		return e.writeOver(path)
	}
	if err != nil {
		if link, ok := errors.AsType[*os.LinkError](err); ok {
			return link.Err
		}
		return err
	}
	syncDirectory(filepath.Dir(path))
	return nil
}

// write fills and closes a new file that takes the place of old, which may be nil.
func (e *Edit) write(file *os.File, old fs.FileInfo) error {
	err := error(nil)
	if old != nil {
		if err = keepOwner(file, old); err != nil {
			err = fmt.Errorf("the new file cannot be given to the owner of the old one: %w", plain(err))
		} else {
			err = file.Chmod(old.Mode().Perm())
		}
	}
	if err == nil {
		_, err = file.WriteString(e.Text())
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(plain(err), file.Close())
}

// writeOver writes into the file that is there.
func (e *Edit) writeOver(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return plain(err)
	}
	_, err = file.WriteString(e.Text())
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(plain(err), file.Close())
}

// syncDirectory has the new name of a file survive a power failure, where that can be asked
// for.
func syncDirectory(path string) {
	if directory, err := os.Open(path); err == nil {
		directory.Sync()
		directory.Close()
	}
}
