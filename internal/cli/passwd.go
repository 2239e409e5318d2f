package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/passwd"
	"github.com/colibri-mqtt/colibri/internal/scram"
)

// Exit codes of passwd, besides exitOK. They are those of mosquitto_passwd.
const (
	exitPasswd   = 1 // nothing was changed
	exitMismatch = 2 // the two passwords differ
)

// maxPasswordBytes is the longest user name and password that a CONNECT holds.
const maxPasswordBytes = 65_535

// passwdOptions are what passwd is told.
type passwdOptions struct {
	create, remove, update bool // -c, -D, -U
	batch                  bool // -b
	scram                  bool
	kind                   passwd.Kind
	iterations             int // 0 for the default

	file, user, password string
}

// errPasswdUsage asks for the usage instead of a run.
var errPasswdUsage = errors.New("the command line is not complete")

func passwdCommand() command {
	return command{
		name:      "passwd",
		mosquitto: "mosquitto_passwd",
		summary:   "Make and change a file of users and their passwords",
		run:       runPasswd,
		help:      writePasswdHelp,
		complete:  completePasswd,
	}
}

// completePasswd offers what a shell can put in place of typed, behind args.
func completePasswd(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 && args[len(args)-1] == "-H" {
		return withPrefix([]string{passwd.Argon2id.String(), passwd.PBKDF2.String(), passwd.SHA512.String()}, typed), cobra.ShellCompDirectiveNoFileComp
	}
	if strings.HasPrefix(typed, "-") {
		return withPrefix([]string{"-b", "-c", "-D", "-H", "-I", "-U", "--scram", "--help"}, typed), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// parsePasswdOptions reads the command line. The first word that is no flag ends the flags.
func parsePasswdOptions(args []string) (*passwdOptions, error) {
	o := &passwdOptions{kind: passwd.Argon2id}
	kindGiven := false
flags:
	for ; len(args) > 0; args = args[1:] {
		switch typed := args[0]; typed {
		case "--help", "-h":
			return o, errHelp
		case "-b":
			o.batch = true
		case "-c":
			o.create = true
		case "-D":
			o.remove = true
		case "-U":
			o.update = true
		case "--scram":
			o.scram = true
		case "-H", "-I":
			if len(args) == 1 {
				return o, usagef("%s argument given but not enough other arguments.", typed)
			}
			args = args[1:]
			known := false
			if typed == "-H" {
				if o.kind, known = passwd.ParseKind(args[0]); !known {
					return o, usagef("Unknown hash type '%s'", args[0])
				}
				kindGiven = true
				continue
			}
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return o, usagef("Number of iterations must be > 0.")
			}
			o.iterations = n
		default:
			if len(typed) > 1 && typed[0] == '-' {
				return o, usagef("Unknown option '%s'; see --help.", typed)
			}
			break flags
		}
	}
	if err := o.conflicts(kindGiven); err != nil {
		return o, err
	}
	return o, o.take(args)
}

// conflicts refuses flags that do not go together.
func (o *passwdOptions) conflicts(kindGiven bool) error {
	for _, c := range []struct {
		both bool
		text string
	}{
		{o.create && o.remove, "-c and -D"},
		{o.create && o.update, "-c and -U"},
		{o.remove && o.update, "-D and -U"},
		{o.remove && o.batch, "-b and -D"},
		{o.scram && o.update, "--scram and -U"},
		{o.scram && kindGiven, "--scram and -H"},
	} {
		if c.both {
			return usagef("%s cannot be used together.", c.text)
		}
	}
	if o.iterations > 0 && !o.scram && o.kind != passwd.PBKDF2 {
		if kindGiven {
			return usagef("-I belongs to '-H %s' and to --scram; %s has no iterations.", passwd.PBKDF2, o.kind)
		}
		o.kind = passwd.PBKDF2 // the only one that can be meant
	}
	return nil
}

// take reads the file, the user and the password.
func (o *passwdOptions) take(words []string) error {
	missing := func(flag, what string) error {
		return usagef("%s argument given but %s missing.", flag, what)
	}
	want := 2
	switch {
	case o.update:
		want = 1
		if len(words) != 1 {
			return missing("-U", "password file")
		}
	case o.remove && len(words) < 2:
		return missing("-D", "password file or username")
	case o.create && o.batch && len(words) < 3:
		return missing("-c", "password file, username, or password")
	case o.create && len(words) < 2:
		return missing("-c", "password file or username")
	case o.batch:
		want = 3
	}
	if len(words) != want {
		return errPasswdUsage
	}
	words = append(words, "", "")
	o.file, o.user, o.password = words[0], words[1], words[2]
	if o.update {
		return nil
	}
	if len(o.password) > maxPasswordBytes {
		return usagef("Password must be less than 65536 characters long.")
	}
	return checkPasswdUser(o.user)
}

// checkPasswdUser refuses a user name that could not be read again.
func checkPasswdUser(user string) error {
	switch {
	case len(user) > maxPasswordBytes:
		return usagef("Username must be less than 65536 characters long.")
	case !utf8.ValidString(user):
		return usagef("Username must be written in UTF-8.")
	case strings.ContainsFunc(user, unicode.IsControl):
		return usagef("Username must not contain control characters.")
	case strings.Contains(user, ":"):
		return usagef("Username must not contain the ':' character.")
	case user == "" || strings.TrimSpace(user) != user:
		return usagef("Username must not be empty, and not begin or end with a space.")
	case user[0] == '#':
		return usagef("Username must not begin with '#', which begins a comment.")
	}
	return nil
}

// runPasswd is the command.
func runPasswd(env *invocation, args []string) int {
	o, err := parsePasswdOptions(args)
	switch {
	case errors.Is(err, errHelp):
		writePasswdHelp(env.stdout, env.name)
		return env.askedFor()
	case errors.Is(err, errPasswdUsage):
		writePasswdHelp(env.stdout, env.name)
		return exitPasswd
	case err != nil:
		fmt.Fprintf(env.stderr, "Error: %s\n", err)
		return exitPasswd
	}
	edit, err := o.open()
	if err != nil {
		fmt.Fprintf(env.stderr, "Error: %s\n", err)
		return exitPasswd
	}
	did, exit := o.apply(env, edit)
	if exit != exitOK {
		return exit
	}
	if o.create && o.file == "-" {
		if _, err := io.WriteString(env.stdout, edit.Text()); err != nil {
			return exitPasswd
		}
		return exitOK
	}
	if err := edit.Save(); err != nil {
		fmt.Fprintf(env.stderr, "Error: Unable to open file %s for writing. %s.\n", shown(o.file), capitalised(escaped(err.Error(), 1<<10)))
		return exitPasswd
	}
	if did != "" {
		fmt.Fprintf(env.stdout, "%s password for user %s\n", did, o.user)
	}
	return exitOK
}

// open returns the file as it is. The error is a sentence.
func (o *passwdOptions) open() (*passwd.Edit, error) {
	if o.create {
		return passwd.Create(o.file), nil
	}
	edit, err := passwd.Open(o.file)
	if err == nil {
		return edit, nil
	}
	if line, ok := errors.AsType[*passwd.LineError](err); ok {
		return nil, usagef("Corrupt password file at line %d: %s.", line.Line, line.Text)
	}
	text := "it is not a regular file, or too large"
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		text = cause.Error()
	}
	hint := ""
	if errors.Is(err, fs.ErrNotExist) {
		hint = " To make a new one, add -c."
	}
	return nil, usagef("Unable to open password file %s. %s.%s", shown(o.file), capitalised(text), hint)
}

// apply changes the file as it is in memory. It returns what becomes of a password, and
// the exit code.
func (o *passwdOptions) apply(env *invocation, edit *passwd.Edit) (did string, exit int) {
	switch {
	case o.remove:
		if !edit.Delete(o.user) {
			fmt.Fprintf(env.stderr, "Warning: User %s not found in password file.\n", o.user)
			return "", exitPasswd
		}
		return "", exitOK
	case o.update:
		err := edit.HashPlain(func(password []byte) (passwd.Hash, error) { return passwd.New(o.kind, o.iterations, password) })
		if err != nil {
			fmt.Fprintf(env.stderr, "Error: Unable to hash password. %s\n", sentence(err.Error()))
			return "", exitPasswd
		}
		return "", exitOK
	case !o.batch:
		password, err := env.askPassword()
		if err != nil {
			fmt.Fprintf(env.stderr, "Error: %s\n", err)
			switch {
			case errors.Is(err, errMismatch):
				return "", exitMismatch
			case env.ctx.Err() != nil:
				return "", exitInterrupted
			}
			return "", exitPasswd
		}
		o.password = password
	}
	if len(o.password) > maxPasswordBytes {
		fmt.Fprintln(env.stderr, "Error: Password must be less than 65536 characters long.")
		return "", exitPasswd
	}
	user, value, err := o.value()
	if err != nil {
		fmt.Fprintf(env.stderr, "Error: Unable to hash password. %s\n", sentence(err.Error()))
		return "", exitPasswd
	}
	if edit.Set(user, value) {
		return "Updating", exitOK
	}
	return "Adding", exitOK
}

// value returns what the file gets: the user and what stands behind the colon.
func (o *passwdOptions) value() (user, value string, err error) {
	if !o.scram {
		h, err := passwd.New(o.kind, o.iterations, []byte(o.password))
		if err != nil {
			return "", "", err
		}
		return o.user, h.String(), nil
	}
	user, err = scram.PrepareName(o.user)
	if err != nil {
		return "", "", err
	}
	c, err := broker.NewScramCredentials(o.password, o.iterations)
	return user, passwd.ScramUser{Iterations: c.Iterations, Salt: c.Salt, StoredKey: c.StoredKey, ServerKey: c.ServerKey}.String(), err
}

// plainFile returns r as a file; nil when it is none.
func plainFile(stream any) *os.File {
	file, _ := stream.(*os.File)
	return file
}

func writePasswdHelp(w io.Writer, name string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n", wrapped("Make and change a file of users and hashes of their passwords, for password_file of a broker. The password is asked for twice, and not shown; from a pipe it is read as a line.", 0))
	for _, use := range []string{"[-H HASH] [-I N] [-c | -D] FILE USER", "[-H HASH] [-I N] [-c] -b FILE USER PASSWORD", "[-H HASH] [-I N] -U FILE", "--scram [-I N] [-c | -D] FILE USER"} {
		fmt.Fprintf(&b, "  %s %s\n", name, use)
	}
	b.WriteString("\nExamples:\n")
	for _, e := range [][2]string{
		{"-c passwords ann", "a new file, with one user"},
		{"passwords bob", "one more user, or a new password for one"},
		{"-D passwords bob", "take a user out"},
		{"-H sha512-pbkdf2 passwords eve", "for Mosquitto 2.0 as well"},
	} {
		fmt.Fprintf(&b, "  %s %-32s # %s\n", name, e[0], e[1])
	}
	b.WriteString("\nFlags:\n")
	for _, f := range [][2]string{
		{"-c", "make a new file, in the place of one that is there; '-' as FILE prints it"},
		{"-D", "take the user out"},
		{"-b", "the password stands on the command line, where other users of this machine may see it"},
		{"-U", "hash all passwords of FILE that stand there as they are"},
		{"-H HASH", "argon2id (the default), sha512-pbkdf2, or sha512, which is easily guessed"},
		{"-I N", "iterations of sha512-pbkdf2 (1000) or --scram (15000)"},
		{"--scram", "FILE is one for colibri_scram_file: users who log in with SCRAM-SHA-256"},
		{"-h, --help", "print this help"},
	} {
		fmt.Fprintf(&b, "  %-12s%s\n", f[0], wrapped(f[1], 14))
	}
	b.WriteString(`
A broker that runs reads the file again when it changes; Mosquitto does on SIGHUP.

Exit code:
  0 done; 1 nothing was changed; 2 the two passwords differ.
`)
	io.WriteString(w, b.String())
}
