package cli

import (
	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
)

// scramMethodName is the one Authentication Method of the clients.
const scramMethodName = "SCRAM-SHA-256"

// setAuthMethod reads --auth-method.
func setAuthMethod(o *options, value string) error {
	if value != scramMethodName {
		return usagef("Unknown authentication method '%s'; there is %s.", value, scramMethodName)
	}
	o.authMethod = value
	return nil
}

// checkAuthMethod makes the Authentication Method of -u and -P.
func (o *options) checkAuthMethod() error {
	switch {
	case o.authMethod == "":
		return nil
	case o.version < colibri.V5:
		return usagef("--auth-method needs MQTT 5.0: add '-V 5'.")
	case o.userName == nil || o.password == nil:
		return usagef("--auth-method needs a user name and a password: add -u and -P.")
	}
	var err error
	if o.method, err = client.ScramSHA256(*o.userName, *o.password); err != nil {
		return usagef("--auth-method does not take this user name and password: one is empty, or holds characters that %s prohibits.", scramMethodName)
	}
	return nil
}

// useMethod proves the password instead of sending it, if that was asked for.
func (o *options) useMethod(settings *client.Options) {
	if o.method == nil {
		return
	}
	settings.Method = o.method
	settings.HasUserName, settings.UserName, settings.Password = false, "", nil
}
