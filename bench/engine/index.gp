# gnuplot -e "data='index.csv'; picture='FILE'" index.gp
# How long it takes to find a key's place, keys that are there: independent
# lookups on the left, each waiting for the one before it on the right.
set terminal pngcairo noenhanced size 1300,1600 font 'DejaVu Sans,10' background '#ffffff'
set output picture
set datafile separator ','
set datafile missing NaN

set logscale xy
set grid linecolor '#cccccc'
set border 3
set tics nomirror out
set key left top reverse Left samplen 2
set offsets graph 0.05, graph 0.05, 0, 0
set yrange [10:30000]
set format x '%.0s%c'
set xlabel 'keys'
set ylabel 'nanoseconds a lookup, median and range'

wanted(column, name, mode) = stringcolumn(1) eq name && stringcolumn(3) eq 'hit' && \
	stringcolumn(4) eq mode && stringcolumn(5) eq column

# What there is in a column, in quotes, as names may have blanks.
names(column) = system("awk -F, 'NR > 1 && !seen[$" . column . "]++ { print \"\\\"\" $" . column . \
	" \"\\\"\" }' " . data)
sets = names(1)
contenders = names(5)

set multiplot layout words(sets), 2
do for [s = 1:words(sets)] {
	name = word(sets, s)
	do for [mode in 'independent dependent'] {
		set title name.', '.mode
		plot for [i = 1:words(contenders)] data \
			using (wanted(word(contenders, i), name, mode) ? $2 : NaN):6:7:8 \
			with yerrorlines linewidth 2 pointtype 7 pointsize 0.7 title word(contenders, i)
	}
}
unset multiplot
