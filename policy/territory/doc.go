// Package territory answers where an address is and who runs it, well enough to decide whether data may go there.
//
// It owns the file that `rempart geo build` makes of several independent databases, the classes of operators, and the rule
// that puts these together ([Rules.Judge]). It reads no clock and opens no connection: callers bring the time and the address.
// What it does not know it does not admit. An address is evidence, not proof: a machine in France may pass everything on abroad.
package territory
