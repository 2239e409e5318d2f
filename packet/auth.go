package packet

import "github.com/colibri-mqtt/colibri"

func (p *Auth) decode(r *reader) {
	*p = Auth{}
	p.Code, p.Properties = r.outcome("Authenticate Reason Code")
	r.authMethod(p)
}

// authMethod checks that there is an Authentication Method (section 3.15.2.2.2).
// The standard lets a Success leave out everything, so that is no fault here.
func (c *checker) authMethod(p *Auth) {
	if c.err == nil && p.Code != colibri.Success && !p.Properties.Has(colibri.AuthenticationMethod) {
		c.fail("Authentication Method", colibri.ProtocolError, "MQTT-4.12.0-5", "there is none")
	}
}

func (p *Auth) encode(w *writer) {
	w.begin(AUTH, 0, 0)
	w.authMethod(p)
	w.outcome("Authenticate Reason Code", p.Code, p.Properties)
}
