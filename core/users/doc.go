// Package users owns accounts: who exists, how he proves it, his sessions, profile, account data and filters.
//
// It is called by the entrances. It answers refusals as *matrix.Error, never reveals which part of a log-in was wrong,
// and keeps of a token only its hash. It knows nothing of routes or configuration; rooms hear of a changed profile
// through core/rooms.
//
// # Where things are
//
// Accounts: register, guests, services (of bridges), account (its end too), activation, expiry, import, tenants; manage, manage_acts, manage_tokens, moderation and admin are what administrators
// and operators do, missions who reads from abroad and may.
//
// Who is it: login, throttle, password, phc, bcrypt, tokens, refresh, shorttokens, sessions, cache (of sessions), lastseen; uia, uia_stages and uia_pages ask a client for proof.
//
// What belongs to a person: profile, profile_remote, propagate (a changed profile into rooms), threepids, email, letters, people (rules for names, documents to accept), accountdata, inherit, filters, directory (who finds
// whom), mutual. service is what the package is made of.
package users
