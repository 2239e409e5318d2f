package cli

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/colibri-mqtt/colibri"
)

// Exit codes of pub, sub and rr. They are those of Mosquitto's programs, because
// scripts test them. A refused CONNECT exits with the code of the CONNACK instead:
// 1 to 5 with MQTT 3.1 and 3.1.1, 128 to 162 with 5.0.
const (
	exitOK          = 0
	exitUsage       = 1   // also: no connection could be made
	exitProtocol    = 2   // the other side broke the protocol
	exitNoRoute     = 4   // --proxy: it does not reach the server
	exitLost        = 7   // the Network Connection ended too early
	exitNotAllowed  = 11  // --proxy: it does not allow the connection
	exitProxy       = 16  // --proxy: it has failed, or the password is wrong
	exitKeepAlive   = 19  // the server did not answer PINGREQ
	exitQoS         = 24  // the server does not take this QoS
	exitTooLarge    = 25  // the server does not take a packet of this size
	exitTimeout     = 27  // -W ran out
	exitInterrupted = 130 // pub and rr: a signal came before the work was done
)

// usageError is a mistake in the command line or in an options file. Its text is a
// whole sentence without the leading "Error: ".
type usageError struct {
	text    string
	pointer string // two lines that show where in a topic the mistake is; may be empty
	hasHelp bool   // the text already says where help is
}

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) *usageError {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

// printUsageError writes a mistake of the person at the terminal to standard error.
func (env *invocation) printUsageError(err error) {
	fmt.Fprintf(env.stderr, "Error: %s\n", err)
	var usage *usageError
	if errors.As(err, &usage) {
		if usage.pointer != "" {
			fmt.Fprintf(env.stderr, "%s\n", usage.pointer)
		}
		if usage.hasHelp {
			return
		}
	}
	fmt.Fprintf(env.stderr, "\nUse '%s --help' to see usage.\n", env.name)
}

// returnCodeTexts are the texts that scripts look for when a 3.1 or 3.1.1 server
// refuses a connection, by the byte of the CONNACK.
var returnCodeTexts = [...]string{
	1: "Connection Refused: unacceptable protocol version.",
	2: "Connection Refused: identifier rejected.",
	3: "Connection Refused: broker unavailable.",
	4: "Connection Refused: bad user name or password.",
	5: "Connection Refused: not authorised.",
}

// refusalText returns the sentence and the exit code for the code of a CONNACK, which in
// 3.1 and 3.1.1 is a Connect Return code.
func refusalText(version colibri.Version, code colibri.ReasonCode) (text string, exit int) {
	if version < colibri.V5 {
		if code > 0 && int(code) < len(returnCodeTexts) {
			return returnCodeTexts[code], int(code)
		}
		return "Connection Refused: unknown reason.", int(code)
	}
	if code == colibri.UnsupportedProtocolVersion {
		return code.String() + ". Try -V 311, or a broker that speaks MQTT 5.0.", int(code)
	}
	return code.String(), int(code)
}

// connectFailure returns the sentence for a Network Connection that could not be made.
func connectFailure(err error) string {
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return "Unable to connect (Lookup error.)."
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return "Error: " + capitalised(number.Error())
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return "Error: Connection timed out"
	}
	return "Error: " + capitalised(err.Error())
}

// capitalised returns text with a capital first letter, as the C library words its errors.
func capitalised(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
