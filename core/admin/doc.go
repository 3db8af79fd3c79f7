// Package admin is what the administrators of an organisation do beside the accounts themselves, which are core/users':
// lists, rooms, media, reports, notices, and the long work (tasks) that outlives a request. Every act that changes
// something, or reads what its reader could not see as a user, leaves a row of audit in the Change that does it.
//
// An administrator acts within his tenant. The entrance adminapi calls it; it knows neither routes nor JSON of answers.
package admin
