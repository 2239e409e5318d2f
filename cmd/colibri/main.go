// Command colibri is an MQTT broker, its clients and its tools in one program.
package main

import (
	"os"

	"github.com/colibri-mqtt/colibri/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
