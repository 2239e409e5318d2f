package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// What can go wrong with a password that is typed, in the words of mosquitto_passwd.
var (
	errMismatch    error = usagef("Passwords do not match.")
	errEmpty       error = usagef("Empty password.")
	errInterrupted error = usagef("Interrupted; nothing was changed.")
)

// askPassword asks for a password twice. A terminal does not show it. What is no terminal gives
// it in a line; a second line may be missing. The error is a sentence.
func (env *invocation) askPassword() (string, error) {
	next := lineReader(env.stdin)
	terminal := false
	if file := plainFile(env.stdin); file != nil && term.IsTerminal(int(file.Fd())) {
		terminal = true
		fd := int(file.Fd())
		before, err := term.GetState(fd)
		if err != nil {
			return "", usagef("The terminal cannot hide what is typed: %v.", err)
		}
		defer term.Restore(fd, before)
		hideTyping(fd)
		next = func() (string, error) { return env.readHidden(file) }
	}
	fmt.Fprint(env.stderr, "Password: ")
	first, err := next()
	fmt.Fprintln(env.stderr)
	switch {
	case env.ctx.Err() != nil:
		return "", errInterrupted
	case err != nil && err != io.EOF:
		return "", usagef("The password cannot be read: %v.", err)
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
// it; the caller then puts the terminal back.
func (env *invocation) readHidden(terminal *os.File) (string, error) {
	ctx, cancel := context.WithCancel(env.ctx)
	defer cancel()
	var line []byte
	var err error
	go func() { // left behind in its read by a signal, which ends the program
		defer cancel()
		line, err = term.ReadPassword(int(terminal.Fd()))
	}()
	<-ctx.Done()
	if env.ctx.Err() != nil {
		return "", env.ctx.Err()
	}
	return string(line), err
}
