"""The proofs: of the kernels here, and of all modules together."""

from flow.proofs.proof import Fault, Proof
from flow.proofs.system import PARTS_OF_THE_TAP, SYSTEM

_CHECKER = "kernels/stream_checker.sv"
_REGISTER = "kernels/stream_register.sv"
_SUMS = ("kernels/lut_operands.sv", "kernels/lut_sums.sv")
"""Sources of a matrix-vector unit below it."""
_PAID = ("stable", "level", "owed", "latency", "order")
"""Claims on a stream: that of `stream_checker`, and those of `order_checker`."""

_REGISTERS = (
    Proof(
        "stream_register_proof",
        (_CHECKER, _REGISTER),
        (
            Fault("if (s_axis_tvalid && s_axis_tready) data_q", "if (s_axis_tvalid) data_q",
                  ("stable", "order")),
            Fault("s_axis_tready = !m_axis_tvalid || m_axis_tready", "s_axis_tready = 1'b1",
                  ("level",)),
            Fault("else if (s_axis_tready) m_axis_tvalid <= s_axis_tvalid;",
                  "else if (s_axis_tvalid) m_axis_tvalid <= 1'b1;", ("owed",)),
            Fault("m_axis_tvalid <= s_axis_tvalid;",
                  "m_axis_tvalid <= s_axis_tvalid && !m_axis_tvalid;", ("latency",)),
        ),
        _PAID,
    ),
    Proof(
        "stream_fifo_proof",
        (_CHECKER, "kernels/stream_fifo.sv"),
        (
            Fault("(!m_axis_tvalid || m_axis_tready);", "1'b1;", ("stable", "order")),
            Fault("32'(level_q) != DEPTH", "1'b1", ("level",)),
            Fault("else if (m_axis_tready) m_axis_tvalid <= 1'b0;", "", ("owed",)),
            Fault("if (write && !read) level_q", "if (write && !read && !m_axis_tvalid) level_q",
                  ("latency",)),
        ),
        _PAID,
        depth=4,
    ),
)  # fmt: skip

_KERNELS = (
    Proof(
        "duplicator_proof",
        (_CHECKER, "kernels/duplicator.sv"),
        (
            Fault("& ~taken_q", "", ("once",)),
            Fault("&(taken_q | m_axis_tready)", "|(taken_q | m_axis_tready)", ("all", "stable")),
            Fault("{OUTPUTS{s_axis_tdata}}", "(OUTPUTS*Bits)'(s_axis_tdata)", ("data",)),
        ),
        ("stable", "once", "data", "all"),
    ),
    Proof(
        "adder_proof",
        (_CHECKER, _REGISTER, "kernels/adder.sv"),
        (
            Fault("A_SIGNED ? value_t'($signed(a))", "0 ? value_t'($signed(a))", ("order",)),
            Fault("scaled(B_GAINS", "scaled(A_GAINS", ("order",)),
            Fault("value_t'($signed(gain))", "value_t'(gain)", ("order",)),
            Fault("fold_q == FOLDS - 1 ? '0 : fold_q + 1", "'0", ("order",)),
            Fault("assign a_axis_tready = free && b_axis_tvalid", "assign a_axis_tready = free",
                  ("together", "level", "latency")),
            Fault("a_axis_tvalid && b_axis_tvalid", "b_axis_tvalid", ("owed",)),
        ),
        ("level", "owed", "latency", "order", "together"),
    ),
    Proof(
        "multiplier_proof",
        (_CHECKER, _REGISTER, "kernels/multiplier.sv"),
        (
            Fault("A_SIGNED ? value_t'($signed(a))", "0 ? value_t'($signed(a))", ("order",)),
            Fault("pixel_q == PIXELS - 1 ? '0", "pixel_q == PIXELS ? '0", ("place",)),
            Fault("if (first) memory", "if (!first) memory", ("kept", "order")),
            Fault("free && first && a_axis_tvalid", "free && a_axis_tvalid", ("together",)),
            Fault("assign a_axis_tready = free && (!first || b_axis_tvalid)",
                  "assign a_axis_tready = free", ("together", "level", "latency")),
            Fault("(!first || b_axis_tvalid);\n  assign a", "1'b1;\n  assign a", ("owed", "order")),
        ),
        ("level", "owed", "latency", "order", "together", "place", "kept"),
    ),
    Proof(
        "upsampler_proof",
        (_CHECKER, _REGISTER, "kernels/upsampler.sv"),
        (
            Fault("across_q == '0 && down_q == '0", "across_q == '0", ("turn",)),
            Fault("free && first;", "free;", ("turn",)),
            Fault("!first || s_axis_tvalid", "1'b1", ("owed",)),
            Fault("!first || s_axis_tvalid", "first && s_axis_tvalid", ("level", "latency")),
            Fault("place_q - (FOLDS - 1)", "place_q + 1", ("order",)),
            Fault("last_across ? '0 : across_q + 1", "'0", ("turn",)),
        ),
        ("level", "owed", "latency", "order", "turn"),
    ),
    Proof(
        "concatenator_proof",
        (_CHECKER, _REGISTER, "kernels/concatenator.sv"),
        (
            Fault("B_SIGNED ? OUT_WIDTH'($signed(b)) : OUT_WIDTH'(b)", "OUT_WIDTH'($signed(b))",
                  ("order",)),
            Fault("OUT_WIDTH'(A_GAIN) *", "OUT_WIDTH'(B_GAIN) *", ("order",)),
            Fault("32'(beat_q) >= A_BEATS", "32'(beat_q) > A_BEATS", ("turn",)),
            Fault("== Beats - 1 ? '0", "== Beats ? '0", ("turn",)),
            Fault("assign b_axis_tready = free && from_b", "assign b_axis_tready = free",
                  ("turn", "level")),
            Fault("from_b ? b_axis_tvalid : a_axis_tvalid", "a_axis_tvalid", ("owed", "latency")),
        ),
        ("level", "owed", "latency", "order", "turn"),
    ),
    Proof(
        "thresholds_proof",
        (_CHECKER, _REGISTER, "kernels/thresholds.sv"),
        (
            Fault("step <= value", "step < value", ("order",)),
            Fault("fold_q == Folds - 1 ? '0", "fold_q == Folds ? '0", ("fold", "order")),
            Fault("FALLS[i]", "FALLS[0]", ("order",)),
            Fault("FALLING[fold_q][p]", "FALLING[0][p]", ("order",)),
            Fault("Ends - counts[p]", "~counts[p]", ("order",)),
        ),
        ("order", "fold"),
    ),
    *(
        Proof(
            "pool_proof",
            (_CHECKER, _REGISTER, "kernels/pool.sv"),
            faults,
            ("level", "owed", "latency", "order", "bounds"),
            {"SUM": maximum},
        )
        for maximum, faults in (
            (0, (
                Fault("result_q[l] > result[l]", "result_q[l] < result[l]", ("order",)),
                Fault("last_place = place_q == WINDOW - 1", "last_place = place_q == WINDOW",
                      ("latency", "bounds")),
                Fault("!last_place || free", "1'b1", ("level",)),
                Fault("s_axis_tvalid && last_place)", "s_axis_tvalid)", ("owed",)),
            )),
            (1, (
                Fault("place_q != '0", "1'b1", ("order",)),
            )),
        )
    ),
    Proof(
        "label_select_proof",
        (_CHECKER, "kernels/label_select.sv"),
        (
            Fault("value > best[k]", "value >= best[k]", ("order",)),
            Fault("!last_beat || taken", "1'b1", ("stable", "level")),
            Fault("left_q <= left_q - 1;", "left_q <= left_q;", ("owed",)),
            Fault("left_q <= K;", "left_q <= K - 1;", ("latency",)),
        ),
        _PAID,
    ),
    Proof(
        "label_select_top2_proof",
        (_CHECKER, "kernels/label_select.sv"),
        (
            Fault("(left_q == 1 && m_axis_tready)", "left_q == 1", ("stable", "count")),
            Fault("for (int k = 1; k < K; k++) out_q[k-1] <= out_q[k];", "", ("distinct",)),
        ),
        ("stable", "count", "distinct"),
    ),
    *(
        Proof(
            "dwc_axi_proof",
            (_CHECKER, "kernels/dwc_axi.sv"),
            faults,
            _PAID,
            {"IBITS": ins, "OBITS": outs},
        )
        for ins, outs, faults in (
            (6, 2, (
                Fault("left_q == 0 || (left_q == 1 && m_axis_tready)", "left_q <= 1",
                      ("stable", "level", "order")),
            )),
            (2, 6, (
                Fault("count_q != Parts || m_axis_tready", "1'b1", ("stable", "level", "order")),
                Fault("m_axis_tvalid ? 1 : count_q + 1", "m_axis_tvalid ? 0 : count_q + 1",
                      ("latency",)),
            )),
            (5, 3, (
                Fault("level_q <= Full", "1'b1", ("level",)),
                Fault("level_q >= OBITS", "level_q > OBITS", ("latency",)),
                Fault("level = level - OBITS", "level = level - 1", ("owed",)),
            )),
            (3, 5, (
                Fault("held >> OBITS;", "held >> (OBITS - 1);", ("order",)),
            )),
        )
    ),
    *(
        Proof(
            "lut_mvu_proof",
            (_CHECKER, *_SUMS, "kernels/lut_mvu.sv"),
            faults,
            ("level", "owed", "latency", "order", "together"),
            parameters,
        )
        for parameters, faults in (
            ({"SIMD": 2}, (
                Fault("room && first_row_q && weights_tvalid", "room && weights_tvalid",
                      ("together",)),
                Fault("assign room = !add_last || !m_axis_tvalid || m_axis_tready;",
                      "assign room = 1'b1;", ("level",), _SUMS[1]),
                Fault("else if (m_axis_tready) m_axis_tvalid <= 1'b0;", "", ("owed",), _SUMS[1]),
                Fault("m_axis_tvalid <= 1'b1;", "m_axis_tvalid <= !m_axis_tvalid;", ("latency",),
                      _SUMS[1]),
                Fault("picked = choices[GroupSize'(w[p][i]>>g)] <<< i;",
                      "picked = choices[GroupSize'(w[p][i]>>g)];", ("order",), _SUMS[1]),
            )),
            ({"SIMD": 2, "ACTIVATION_WIDTH": 1}, (
                Fault("SIGNED_ACTIVATIONS && j ==", "j ==", ("order",), _SUMS[1]),
            )),
            ({"SIMD": 2, "WEIGHT_WIDTH": 1, "ACTIVATION_WIDTH": 1, "BIPOLAR": 1}, (
                Fault("2 * both + all", "both + all", ("order",), _SUMS[1]),
            )),
            ({"SIMD": 2, "SHORT_PATHS": 1}, (
                Fault("if (room) begin", "begin", ("order",), _SUMS[1]),
                Fault("{valid_q[1:0], s_axis_tvalid}", "{valid_q[1:0], 1'b1}", ("owed",), _SUMS[1]),
            )),
        )
    ),
    Proof(
        "lut_mvu_tiles_proof",
        (_CHECKER, *_SUMS, "kernels/lut_mvu.sv"),
        (
            Fault("tile_q <= tile_q == Tiles - 1 ? '0 : tile_q + 1;", "tile_q <= '0;",
                  ("latency",)),
            Fault("SynapseFolds : LastFolds", "LastFolds : LastFolds", ("owed",)),
        ),
        ("owed", "latency"),
    ),
    Proof(
        "input_planes_proof",
        (_CHECKER, "kernels/input_planes.sv"),
        (
            Fault("if (!last_plane) whole &=", "if (1'b0) whole &=", ("data",)),
            Fault("whole >>= plane_q * PLANE_BITS;", "", ("data",)),
            Fault("assign s_axis_tready = first_plane && m_axis_tready;",
                  "assign s_axis_tready = first_plane;", ("taken", "stable")),
            Fault("assign m_axis_tvalid = !first_plane || s_axis_tvalid;",
                  "assign m_axis_tvalid = s_axis_tvalid;", ("valid",)),
        ),
        ("stable", "valid", "taken", "data"),
    ),
    Proof(
        "tile_accumulator_proof",
        (_CHECKER, "kernels/tile_accumulator.sv"),
        (
            Fault("assign s_axis_tready = !last_sum || !m_axis_tvalid || m_axis_tready;",
                  "assign s_axis_tready = 1'b1;", ("level", "stable")),
            Fault("if (m_axis_tready) m_axis_tvalid <= 1'b0;", "", ("owed",)),
            Fault("m_axis_tvalid <= 1'b1;", "m_axis_tvalid <= fold_q != '0;", ("latency",)),
            Fault("tile_q == '0 && plane_q == '0 ? '0 : kept[fold_q]", "kept[fold_q]", ("order",)),
        ),
        _PAID,
    ),
    *(
        Proof(
            "lut_vvu_proof",
            (_CHECKER, _REGISTER, "kernels/lut_operands.sv", "kernels/lut_vvu.sv"),
            faults,
            ("level", "owed", "latency", "order", "together"),
            {"BIPOLAR": bipolar},
        )
        for bipolar, faults in (
            (0, (
                Fault("weights_tready = room && s_axis_tvalid", "weights_tready = room",
                      ("together",)),
                Fault("assign room = !last_beat || free;", "assign room = 1'b1;", ("level",)),
                Fault(".s_axis_tvalid(fire && last_beat)", ".s_axis_tvalid(fire)", ("owed",)),
                Fault(".s_axis_tvalid(fire && last_beat)",
                      ".s_axis_tvalid(fire && last_beat && !m_axis_tvalid)", ("latency",)),
                Fault("SIGNED_WEIGHTS && i == WEIGHT_WIDTH - 1", "0", ("order",)),
            )),
            (1, (
                Fault("w[0] ? activation : -activation", "w[0] ? activation : 0", ("order",)),
            )),
        )
    ),
    Proof(
        "memstream_axi_proof",
        (_CHECKER, "kernels/memstream_axi.sv"),
        (
            Fault("load = !valid_q || m_axis_0_tready", "load = 1'b1", ("stable", "order")),
            Fault("valid_q <= 1'b1;", "valid_q <= !valid_q;", ("full",)),
            Fault("(!rvalid_q || rready) && !write", "!write", ("read_answer",)),
            Fault("if (write || bready) bvalid_q <= write;", "bvalid_q <= write;",
                  ("write_answer",)),
            Fault("awvalid && wvalid && (", "awvalid && (", ("write_asked",)),
            Fault("if (read || rready) rvalid_q <= read;",
                  "if (arvalid || rready) rvalid_q <= arvalid;", ("read_asked",)),
            Fault("<= WIDTH'(written)", "<= WIDTH'(staged_q)", ("read_back",)),
        ),
        ("stable", "full", "order", "read_back", "read_answer", "write_answer", "write_asked",
         "read_asked"),
    ),
)  # fmt: skip

PROOFS = (*_REGISTERS, *_KERNELS, *PARTS_OF_THE_TAP, *SYSTEM)
"""Every proof, in the order of the table."""
