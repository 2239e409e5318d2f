package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri/internal/pki"
)

// pkiResult is what init, client and server print with --json. Scripts read the keys.
type pkiResult struct {
	Directory      string      `json:"directory"`
	Authority      *pkiIssued  `json:"authority,omitempty"`
	Server         *pkiIssued  `json:"server,omitempty"`
	Clients        []pkiIssued `json:"clients,omitempty"`
	RevocationFile string      `json:"revocation_file,omitempty"`
	Configuration  []string    `json:"configuration,omitempty"`
	Commands       []string    `json:"commands,omitempty"`
}

// pkiIssued is a certificate and its files.
type pkiIssued struct {
	File    string `json:"file"`
	KeyFile string `json:"key_file,omitempty"`
	pkiCertificate
}

func issuedJSON(i pki.Issued, now time.Time) *pkiIssued {
	return &pkiIssued{i.File, i.KeyFile, describe(i.Certificate, now)}
}

// initPKI is "pki init".
func initPKI(env *invocation, o *pkiOptions) int {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return env.pkiFailed(err)
	}
	hosts, err := o.allHosts()
	if err != nil {
		return env.pkiFailed(err)
	}
	now := time.Now()
	made, err := pki.Create(dir, hosts, o.clients, now)
	if err != nil {
		return env.pkiFailed(err)
	}
	a := made.Authority
	configuration := []string{
		"listener 8883",
		"certfile " + made.Server.File,
		"keyfile " + made.Server.KeyFile,
		"cafile " + a.CertificateFile(),
		"require_certificate true",
		"use_identity_as_username true",
		"crlfile " + a.Path(pki.RevocationFile),
	}
	commands := tlsCommands(a, made.Clients[0])
	if o.json {
		result := &pkiResult{Directory: dir, RevocationFile: a.Path(pki.RevocationFile), Configuration: configuration, Commands: commands,
			Authority: issuedJSON(pki.Issued{Certificate: a.Certificate(), File: a.CertificateFile(), KeyFile: a.KeyFile()}, now),
			Server:    issuedJSON(made.Server, now)}
		for _, c := range made.Clients {
			result.Clients = append(result.Clients, *issuedJSON(c, now))
		}
		return env.printResult(result)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Made in %s:\n", dir)
	row := func(name, text string) {
		fmt.Fprintf(&b, "  %-12s  %s\n", name, wrapped(text, 16))
	}
	row("ca.crt", "the authority: clients and brokers need it to check each other")
	row("ca.key", "its key: whoever has it can be anybody; keep it to yourself")
	row("ca.crl", "the certificates it has revoked: none yet")
	row("server.crt", "the broker, as "+strings.Join(hostTexts(made.Server.Certificate), ", "))
	row("server.key", "its key; the broker's user must be able to read it")
	for _, c := range made.Clients {
		row(filepath.Base(c.File), fmt.Sprintf("the client '%s'", c.Certificate.Subject.CommonName))
		row(filepath.Base(c.KeyFile), "its key")
	}
	fmt.Fprintf(&b, "\nThe lines for the broker's configuration:\n")
	for _, line := range configuration {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	fmt.Fprintf(&b, "\nThe client, on this machine:\n")
	for _, line := range commands {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	fmt.Fprintf(&b, "\n%s\n", wrapped("Without the last three lines of the configuration clients need --cafile only, and a password (password_file) or allow_anonymous true.", 0))
	fmt.Fprintf(&b, "%s\n", wrapped(fmt.Sprintf("The server's and the clients' certificates end on %s.", made.Server.Certificate.NotAfter.Format(time.DateOnly))+
		" This is for first tries and tests, not for a fleet: the key of the authority lies beside the others, and nobody renews anything.", 0))
	return env.printText(b.String())
}

// tlsCommands returns the command lines that publish as a client, ours and Mosquitto's.
func tlsCommands(a *pki.Authority, c pki.Issued) []string {
	flags := fmt.Sprintf("-h localhost -p 8883 --cafile %s --cert %s --key %s -t test -m hello",
		shellWord(a.CertificateFile()), shellWord(c.File), shellWord(c.KeyFile))
	return []string{"colibri pub " + flags, "mosquitto_pub " + flags}
}

// shellWord quotes text for a shell, if it needs it.
func shellWord(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-@%=:,"
	if strings.Trim(text, plain) == "" && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// makeOne makes one certificate more and prints what to do with it.
func (env *invocation) makeOne(o *pkiOptions, kind string, make func(a *pki.Authority) (pki.Issued, error)) int {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return env.pkiFailed(err)
	}
	a, err := pki.Open(dir)
	if err != nil {
		return env.pkiFailed(err)
	}
	issued, err := make(a)
	if err != nil {
		return env.pkiFailed(err)
	}
	now := time.Now()
	result := &pkiResult{Directory: dir}
	var lines []string
	if kind == "server" {
		result.Server = issuedJSON(issued, now)
		result.Configuration = []string{"certfile " + issued.File, "keyfile " + issued.KeyFile}
		lines = result.Configuration
	} else {
		result.Clients = []pkiIssued{*issuedJSON(issued, now)}
		result.Commands = tlsCommands(a, issued)
		lines = result.Commands
	}
	if o.json {
		return env.printResult(result)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Made %s and %s, valid until %s", issued.File, filepath.Base(issued.KeyFile), issued.Certificate.NotAfter.Format(time.DateOnly))
	if kind == "server" {
		fmt.Fprintf(&b, ", for\n  %s\n", wrapped(strings.Join(hostTexts(issued.Certificate), ", "), 2))
	} else {
		b.WriteString(".\n")
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return env.printText(b.String())
}

func (env *invocation) printResult(result any) int {
	encoder := json.NewEncoder(env.stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(result); err != nil {
		return env.pkiFailed(err)
	}
	return exitOK
}

func (env *invocation) printText(text string) int {
	if _, err := fmt.Fprint(env.stdout, text); err != nil {
		return env.pkiFailed(err)
	}
	return exitOK
}
