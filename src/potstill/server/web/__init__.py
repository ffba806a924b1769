"""The dashboard: pages made on the server, from plain values to HTML; every text that comes in is escaped."""
