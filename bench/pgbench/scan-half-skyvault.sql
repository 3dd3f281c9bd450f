SELECT count(*) FROM kv WHERE key > '\x70';
