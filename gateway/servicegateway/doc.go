// Package servicegateway speaks to application services: transactions, queries, pings and third-party look-ups, by the one way
// out. What is in a transaction and when it is sent is the courier's business (core/appservice/courier).
//
// Spec: application-service-api/#homeserver---application-service-api
package servicegateway
