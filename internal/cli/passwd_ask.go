package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// What can go wrong with a password that is typed, in the words of mosquitto_passwd.
var (
	errMismatch    = errors.New("Passwords do not match.")
	errEmpty       = errors.New("Empty password.")
	errInterrupted = errors.New("Interrupted; nothing was changed.")
)

// askPassword asks for a password twice. A terminal does not show it. What is no terminal gives
// it in a line; a second line may be missing. The error is a sentence.
func (env *invocation) askPassword() (string, error) {
	next := lineReader(env.stdin)
	terminal := false
	if file := plainFile(env.stdin); file != nil && term.IsTerminal(int(file.Fd())) {
		terminal = true
		next = func() (string, error) { return env.readHidden(file) }
	}
	fmt.Fprint(env.stderr, "Password: ")
	first, err := next()
	fmt.Fprintln(env.stderr)
	switch {
	case env.ctx.Err() != nil:
		return "", errInterrupted
	case err != nil && err != io.EOF:
		return "", fmt.Errorf("The password cannot be read: %w.", err)
	case first == "":
		return "", errEmpty
	}
	fmt.Fprint(env.stderr, "Reenter password: ")
	second, err := next()
	fmt.Fprintln(env.stderr)
	switch {
	case env.ctx.Err() != nil:
		return "", errInterrupted
	case err == io.EOF && second == "" && !terminal:
	case first != second:
		return "", errMismatch
	}
	return first, nil
}

// lineReader returns a function that reads the next line of r, without its end.
func lineReader(r io.Reader) func() (string, error) {
	buffered := bufio.NewReader(io.LimitReader(r, 4*maxPasswordBytes))
	return func() (string, error) {
		line, err := buffered.ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err
	}
}

// readHidden reads a line from a terminal that shows nothing of it meanwhile. A signal ends
// it, and the terminal is as before.
func (env *invocation) readHidden(terminal *os.File) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(env.ctx)
	defer cancel()
	var line []byte
	go func() { // left behind in its read by a signal, which ends the program
		defer cancel()
		line, err = term.ReadPassword(fd)
	}()
	<-ctx.Done()
	if env.ctx.Err() != nil {
		term.Restore(fd, before)
		return "", env.ctx.Err()
	}
	return string(line), err
}
