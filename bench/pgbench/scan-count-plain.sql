SELECT count(*) FROM plain;
