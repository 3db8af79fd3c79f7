// Package appservice knows the application services of this installation: who they are, which users, aliases and rooms
// they asked for, and whether something belongs to one of them alone.
//
// A [Registry] is made once, from the registration files, and never changes; the accounts, the rooms and the courier ask it.
// A nil registry is that of an installation without services, and asking it costs nothing. It makes no network call.
//
// Spec: application-service-api/#registration
package appservice
