package pki

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCommonName is the length in characters of the longest Common Name (RFC 5280, A.1).
const maxCommonName = 64

// CheckName returns an error, a sentence without its capital and its full stop, when
// name cannot be that of a client: it is the name of files, a Common Name and perhaps a
// User Name.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty: give one")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the name holds characters that cannot be printed: leave them out")
	case utf8.RuneCountInString(name) > maxCommonName:
		return fmt.Errorf("the name '%s' is longer than %d characters, which is the most that a certificate takes", name, maxCommonName)
	case strings.ContainsAny(name, `/\:*?"<>|`):
		return fmt.Errorf("the name '%s' cannot be that of a file: leave out / \\ : * ? \" < > |", name)
	case strings.ContainsAny(name, "+#"):
		return fmt.Errorf("the name '%s' holds + or #, which are wildcards where it stands for a User Name: leave them out", name)
	case strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || strings.HasPrefix(name, " ") || strings.HasSuffix(name, " "):
		return fmt.Errorf("the name '%s' begins with a dot, a hyphen or a space, or ends with a space: leave that out", name)
	}
	return nil
}

// Hosts is what the certificate of a server is valid for.
type Hosts struct {
	Names     []string // DNS names in ASCII; one may begin with "*."
	Addresses []net.IP
}

// Machine returns the names and addresses of this machine: what it calls itself,
// localhost, and the addresses of all interfaces but those that need a zone.
func Machine() (Hosts, error) {
	h := Hosts{
		Names:     []string{"localhost"},
		Addresses: []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback},
	}
	if name, err := os.Hostname(); err == nil && name != "localhost" && checkHostName(name) == nil {
		h.Names = []string{strings.ToLower(name), "localhost"}
	}
	found, err := net.InterfaceAddrs()
	if err != nil {
		return Hosts{}, fmt.Errorf("look for the addresses of this machine: %w", err)
	}
	for _, a := range found {
		if network, ok := a.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			h.addAddress(network.IP)
		}
	}
	return h, nil
}

// AddName adds a DNS name. It refuses what no client could look up.
func (h *Hosts) AddName(name string) error {
	if err := checkHostName(name); err != nil {
		return err
	}
	if name = strings.ToLower(name); !slices.Contains(h.Names, name) {
		h.Names = append(h.Names, name)
	}
	return nil
}

// AddAddress adds an IP address as people write it.
func (h *Hosts) AddAddress(text string) error {
	ip := net.ParseIP(text)
	if ip == nil {
		return fmt.Errorf("'%s' is not an IP address: write it like 192.168.1.5 or fd00::5, without a port", text)
	}
	h.addAddress(ip)
	return nil
}

func (h *Hosts) addAddress(ip net.IP) {
	if four := ip.To4(); four != nil {
		ip = four
	}
	if !slices.ContainsFunc(h.Addresses, ip.Equal) {
		h.Addresses = append(h.Addresses, ip)
	}
}

// checkHostName returns an error when name is not one that a client can look up: RFC
// 1123, and the underscore that many names have all the same.
func checkHostName(name string) error {
	if net.ParseIP(name) != nil {
		return fmt.Errorf("'%s' is an IP address and not a name", name)
	}
	wrong := fmt.Errorf("'%s' is not the name of a host: letters, digits, hyphens and dots make one, as in broker.example", name)
	if len(name) > 253 {
		return wrong
	}
	for _, label := range strings.Split(strings.TrimPrefix(name, "*."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return wrong
		}
		for _, r := range label {
			switch {
			case r > unicode.MaxASCII:
				return fmt.Errorf("'%s' holds letters that certificates do not take: write it as DNS does, beginning with xn--", name)
			case r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r):
				return wrong
			}
		}
	}
	return nil
}

// cut returns the first n characters of text.
func cut(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n])
	}
	return text
}
