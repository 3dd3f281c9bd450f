# gnuplot -e "data='FILE'; picture='FILE'" plot.gp
# Draws one bar per line of data: label, ratio.
set terminal pngcairo noenhanced size 1000,560 font 'DejaVu Sans,10' background '#ffffff'
set output picture
set datafile separator '\t'

set title 'Rate of skyvault, as a multiple of the rate of a plain table (longer is better)'
set yrange [] reverse
set offsets 0, 0, 0.6, 0.6
set xrange [0:*]
set xlabel 'skyvault / plain, medians'
set grid xtics linecolor '#dddddd'
set border 3
set tics nomirror out
set ytics scale 0
unset key
set rmargin 8

# What the plain table does is 1.
set arrow from 1, graph 0 to 1, graph 1 nohead linewidth 2 linecolor '#444444' back

set style textbox opaque noborder fillcolor '#ffffff' margins 0.3, 0.3

height = 0.35
plot data using (0):0:(0):2:($0 - height):($0 + height):ytic(1) \
		with boxxyerror fillstyle transparent solid 0.85 linecolor '#3b6ea8', \
	data using 2:0:(sprintf('%.2f', $2)) with labels left offset 0.9, 0 boxed textcolor '#222222'
