// Package sovereign is the adversarial lab: real servers under a policy that lets data go to places in France only, names that an
// attacker answers for, and sinks abroad that count what reaches them. Nothing may, and the record must tell of each attempt.
//
// Loopback networks stand for places: 127.10 and 127.13 are in France (the latter Réunion), 127.11 is in France under an operator of
// foreign law, 127.12 is in the United States, 127.14 is nowhere known.
package sovereign
