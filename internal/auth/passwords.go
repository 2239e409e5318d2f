package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/passwd"
)

// Passwords is the Checker of a password file. It passes about clients without a User Name and
// about users that are not in the file; of the others it denies who has another
// password. An unknown user takes as long as a known one, so that Checkers which cost
// less and know more stand before it. It is safe for concurrent use.
type Passwords struct {
	// Guard is asked again about who had to wait, as others may have failed meanwhile; nil
	// when there is none. It is set before the first Check.
	Guard *Guard
	// Matcher compares; nil for comparing here. It is set before the first Check.
	Matcher Matcher

	path string
	gate *Gate
	file atomic.Pointer[passwd.File]

	remembered remembered
	compared   atomic.Int64
}

// Matcher compares a password with a hash, as passwd.Hash.Matches does, perhaps elsewhere. It
// may block as long as that takes, and is called by as many goroutines as the Gate lets in. An
// error says why there is no answer, and holds nothing secret.
type Matcher interface {
	Match(h passwd.Hash, password []byte) (right bool, err error)
}

// NewPasswords reads the file at path. gate bounds how many passwords are compared at once,
// and may be shared. remember is how many passwords that were right are known again
// without comparing; 0 remembers none.
func NewPasswords(path string, gate *Gate, remember int) (*Passwords, error) {
	p := &Passwords{path: path, gate: gate}
	p.remembered.most = remember
	rand.Read(p.remembered.key[:])
	return p, p.Load()
}

// Load reads the file again: what it says holds at once and whole. With an error, which
// names the file and the line, nothing changes.
func (p *Passwords) Load() error {
	file, err := passwd.Read(p.path)
	if err != nil {
		return err
	}
	p.file.Store(file)
	p.remembered.forget()
	return nil
}

// Compared is how many passwords were compared with a hash.
func (p *Passwords) Compared() int64 { return p.compared.Load() }

// Name is Checker's.
func (p *Passwords) Name() string { return "the password file " + p.path }

// errWrong is the same for a wrong password and for none.
var errWrong = refusal("the Server does not know this User Name with this Password")

// errGone is for a client that nobody will answer.
var errGone = &colibri.Error{Op: "CONNECT", Code: colibri.ServerBusy, Err: errors.New("the client hung up while it waited for its login")}

// Check is Checker's. An error that is not about the password holds colibri.ServerBusy, or
// colibri.ServerUnavailable when the Matcher has failed.
func (p *Passwords) Check(ctx context.Context, r *broker.ConnectRequest) (Verdict, error) {
	if !r.HasUserName {
		return Pass, nil
	}
	hash, known := p.file.Load().Lookup(r.UserName)
	mark := p.remembered.mark(r.UserName, r.Password, hash)
	if known && r.HasPassword && p.remembered.has(mark) {
		return Allow, nil
	}
	waited, err := p.gate.Enter(ctx)
	if err != nil {
		return Deny, err
	}
	defer p.gate.Leave()
	switch {
	case waited && r.Departed():
		return Deny, errGone
	case waited && known && r.HasPassword && p.remembered.has(mark): // it connects many times at once
		return Allow, nil
	case waited && p.Guard != nil:
		if err := p.Guard.allowed(r.RemoteAddr, r.UserName); err != nil {
			return Deny, err
		}
	}
	p.compared.Add(1)
	right, err := p.match(hash, r.Password)
	switch {
	case err != nil:
		return Deny, &Fault{Code: colibri.ServerUnavailable, Text: "no password can be compared: " + err.Error()}
	case !known:
		return Pass, nil
	case !right || !r.HasPassword:
		return Deny, errWrong
	}
	p.remembered.add(mark)
	return Allow, nil
}

// match asks the Matcher, or does what it would do.
func (p *Passwords) match(h passwd.Hash, password []byte) (bool, error) {
	if p.Matcher == nil {
		return h.Matches(password), nil
	}
	return p.Matcher.Match(h, password)
}

// remembered are passwords that were right, so that clients which come back all at once
// cost no hashes. What is kept of one is an HMAC under a key that lives as long as the
// process; it holds the hash too, and so does not outlive a change of the password.
type remembered struct {
	key  [sha256.Size]byte
	most int

	mu    sync.Mutex // a leaf
	marks map[mark]struct{}
}

type mark [sha256.Size]byte

// mark returns what is kept.
func (m *remembered) mark(user string, password []byte, h passwd.Hash) (k mark) {
	if m.most == 0 {
		return k
	}
	mac := hmac.New(sha256.New, m.key[:])
	for _, part := range [][]byte{[]byte(user), password, []byte(h.String())} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		mac.Write(size[:])
		mac.Write(part)
	}
	mac.Sum(k[:0])
	return k
}

func (m *remembered) has(k mark) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.marks[k]
	return ok
}

// add keeps k in the place of any other when there are as many as may be.
func (m *remembered) add(k mark) {
	if m.most == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.marks == nil {
		m.marks = make(map[mark]struct{})
	}
	if _, ok := m.marks[k]; !ok && len(m.marks) >= m.most {
		for other := range m.marks {
			delete(m.marks, other)
			break
		}
	}
	m.marks[k] = struct{}{}
}

func (m *remembered) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marks = nil
}
