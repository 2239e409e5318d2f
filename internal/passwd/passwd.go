// Package passwd reads and writes password files as Mosquitto has them: one line a user, with
// the name, a colon and the hash of the password. It knows the three kinds of hashes of
// Mosquitto 2.1, and bounds what a hash may cost. No error shows a password or a hash.
package passwd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// maxFileBytes is the largest file that is read: about 300,000 users.
const maxFileBytes = 64 << 20

// LineError is a mistake in a line of a file.
type LineError struct {
	File string
	Line int    // from 1
	Text string // in plain words, without a full stop
}

// Error returns "file:line: text".
func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// File is what a password file says. It never changes, so it is safe for concurrent use.
type File struct {
	users map[string]Hash
	decoy Hash
}

// Read reads the file at path. A line that is empty or begins with # says nothing; every
// other one names a user and a hash, or is a *LineError. Spaces around both are left out, and
// what stands behind a second colon, as in Mosquitto; unlike there no user may come twice.
func Read(path string) (*File, error) {
	content, err := contents(path)
	if err != nil {
		return nil, err
	}
	return parse(path, content)
}

// contents returns the bytes of a file of reasonable size.
func contents(path string) (string, error) {
	info, err := os.Stat(path) // before Open, which would wait for the writer of a pipe
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", path, plain(err))
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s cannot be read: it is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", path, plain(err))
	}
	defer file.Close()
	var b strings.Builder
	n, err := io.Copy(&b, io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s cannot be read: %w", path, plain(err))
	case n > maxFileBytes:
		return "", fmt.Errorf("%s cannot be read: it has more than %d bytes", path, maxFileBytes)
	}
	return b.String(), nil
}

// plain returns the cause without the operation and the path.
func plain(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}

// parse reads the lines of a file that is called name.
func parse(name, content string) (*File, error) {
	f := &File{users: make(map[string]Hash)}
	costs := make(map[cost]int)
	err := eachUser(name, content, func(user, value string) error {
		text, _, _ := strings.Cut(value, ":")
		h, err := ParseHash(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		f.users[user] = h
		costs[h.cost]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	commonest := cost{kind: SHA512, sumBytes: 64}
	for c, n := range costs {
		if n > costs[commonest] || n == costs[commonest] && c.dearer(commonest) {
			commonest = c
		}
	}
	f.decoy = commonest.decoy()
	return f, nil
}

// dearer decides between costs that are equally common, so that it is always the same one.
func (c cost) dearer(than cost) bool {
	if c.kind != than.kind {
		return c.kind > than.kind
	}
	return c.kib*c.iterations+c.iterations > than.kib*than.iterations+than.iterations
}

// eachUser calls found for each line that is not empty and no comment. What it returns
// becomes a *LineError.
func eachUser(name, content string, found func(user, value string) error) error {
	seen := make(map[string]int)
	content = strings.TrimPrefix(content, "\uFEFF")
	number := 0
	for line := range strings.Lines(content) {
		number++
		user, value, err := cutLine(line)
		if err == nil && user == "" {
			continue
		}
		if first := seen[user]; err == nil && first > 0 {
			err = fmt.Errorf("the user is named in line %d already; delete one of the lines", first)
		}
		if err == nil {
			seen[user] = number
			err = found(user, value)
		}
		if err != nil {
			return &LineError{File: name, Line: number, Text: err.Error()}
		}
	}
	return nil
}

// cutLine returns the user and the rest of a line; no user for one that says nothing.
func cutLine(line string) (user, value string, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", nil
	}
	user, value, found := strings.Cut(line, ":")
	user, value = strings.TrimSpace(user), strings.TrimSpace(value)
	switch {
	case !found:
		return "", "", errors.New("there is no ':' between a user and a password")
	case user == "":
		return "", "", errors.New("there is no user before the ':'")
	case value == "":
		return "", "", errors.New("there is no password behind the ':'")
	case !utf8.ValidString(user):
		return "", "", errors.New("the user is not written in UTF-8")
	}
	return user, value, nil
}

// Users is the number of users.
func (f *File) Users() int { return len(f.users) }

// Lookup returns the hash of a user's password. For a user that is not known it returns one
// that matches nothing and costs what the commonest hash of the file costs: who compares
// with it all the same does not tell by the time it takes which users exist.
func (f *File) Lookup(user string) (h Hash, known bool) {
	h, known = f.users[user]
	if !known {
		h = f.decoy
	}
	return h, known
}
