package packet

import "github.com/colibri-mqtt/colibri"

func (p *Disconnect) decode(r *reader) {
	*p = Disconnect{}
	if r.v == colibri.V5 {
		p.Code, p.Properties = r.outcome("Disconnect Reason Code")
	}
}

// outcome reads a Reason Code and properties where both may be missing: with a
// Remaining Length of 0 the code is 0x00, and with 1 there is no Property Length.
func (r *reader) outcome(name string) (code colibri.ReasonCode, ps colibri.Properties) {
	if r.left() == 0 {
		return 0, nil
	}
	group := r.open("Variable Header")
	code = r.reasonCode(name)
	if r.left() > 0 {
		ps = r.propertyList("Properties", r.t, &r.properties)
	}
	r.close(group)
	return code, ps
}

func (p *Disconnect) encode(w *writer) {
	w.begin(DISCONNECT, 0, 0)
	w.outcome("Disconnect Reason Code", p.Code, p.Properties)
}
