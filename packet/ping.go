package packet

// A PINGREQ and a PINGRESP end with their Fixed Header (sections 3.12 and 3.13).

func (p *Pingreq) encode(w *writer)  { w.begin(PINGREQ, 0, 0) }
func (p *Pingresp) encode(w *writer) { w.begin(PINGRESP, 0, 0) }
