SELECT count(*) FROM plain WHERE key > '\x70';
