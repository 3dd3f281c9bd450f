# gnuplot -e "data='engine.csv'; picture='FILE'" engine_batch.gp
# Above, how long a batch takes; below, how long each of its keys does.
set terminal pngcairo noenhanced size 1500,900 font 'DejaVu Sans,10' background '#ffffff'
set output picture
set datafile separator ','
set datafile missing NaN

set logscale xy
set xrange [0.8:4500]
set grid linecolor '#cccccc'
set border 3
set tics nomirror out
set key left top reverse Left samplen 2
set xlabel 'keys in a batch'

batch(column, name) = stringcolumn(1) eq name && stringcolumn(2) eq 'batch' && stringcolumn(3) eq column

names(column) = system("awk -F, '$2 == \"batch\" && !seen[$" . column . "]++ { print $" . column . " }' " . data)
sets = names(1)
contenders = names(3)

set multiplot layout 2, words(sets)
set ylabel 'microseconds a batch, median'
do for [name in sets] {
	set title name
	plot for [c in contenders] data using (batch(c, name) ? $4 : NaN):($5 * $4 / 1000) \
		with linespoints linewidth 2 pointtype 7 pointsize 0.7 title c
}
unset key
set ylabel 'nanoseconds a key, median and range'
do for [name in sets] {
	set title name
	plot for [c in contenders] data using (batch(c, name) ? $4 : NaN):5:6:7 \
		with yerrorlines linewidth 2 pointtype 7 pointsize 0.7 title c
}
unnames(column) = system("awk -F, '$2 == \"batch\" && !seen[$" . column . "]++ { print $" . column . " }' " . data)
sets = names(1)
contenders = names(3)

set multiplot
