package passwd

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ScramUser is what a Server keeps of a user for SCRAM-SHA-256. It is as secret as a
// password file: who has it can guess passwords, and pass for the Server.
type ScramUser struct {
	Iterations int
	Salt       []byte
	StoredKey  []byte // 32 bytes
	ServerKey  []byte // 32 bytes
}

const (
	scramName     = "SCRAM-SHA-256"
	scramKeyBytes = 32
	// Iterations of SCRAM: the least of RFC 7677, and the most that our clients compute.
	minScramIterations = 4096
	maxScramIterations = 2_000_000
)

// String returns the user as it stands in a file behind the name, in the form in which
// PostgreSQL keeps the same.
func (u ScramUser) String() string {
	code := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", scramName, u.Iterations, code(u.Salt), code(u.StoredKey), code(u.ServerKey))
}

// ParseScramUser reads what String has written. The error shows nothing of the text.
func ParseScramUser(text string) (u ScramUser, err error) {
	fields := strings.Split(text, "$")
	if len(fields) != 3 || fields[0] != scramName {
		return u, errors.New("what stands behind the user is not 'SCRAM-SHA-256$...'; make it with 'colibri passwd --scram FILE USER'")
	}
	iterations, salt, _ := strings.Cut(fields[1], ":")
	stored, server, _ := strings.Cut(fields[2], ":")
	if !decimal(iterations, minScramIterations, maxScramIterations, &u.Iterations) {
		return ScramUser{}, fmt.Errorf("the iterations are not a number from %d to %d", minScramIterations, maxScramIterations)
	}
	for _, field := range []struct {
		text string
		into *[]byte
	}{{salt, &u.Salt}, {stored, &u.StoredKey}, {server, &u.ServerKey}} {
		if *field.into, err = base64.StdEncoding.Strict().DecodeString(field.text); err != nil {
			return ScramUser{}, errors.New("the salt and the keys are not written in base64")
		}
	}
	if len(u.Salt) == 0 || len(u.Salt) > maxSaltBytes || len(u.StoredKey) != scramKeyBytes || len(u.ServerKey) != scramKeyBytes {
		return ScramUser{}, errors.New("the salt or a key has the wrong length")
	}
	return u, nil
}

// ReadScram reads a file of ScramUsers by name, with the comments and the errors of Read.
func ReadScram(path string) (map[string]ScramUser, error) {
	content, err := contents(path)
	if err != nil {
		return nil, err
	}
	users := make(map[string]ScramUser)
	err = eachUser(path, content, func(user, value string) error {
		u, err := ParseScramUser(value)
		users[user] = u
		return err
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}
