"""The proofs of what is around the kernels: parts of the tap, and the microcontroller system."""

from flow.proofs.proof import Fault, Proof

PARTS_OF_THE_TAP = (
    Proof(
        "stream_digest_proof",
        ("noise/stream_digest.sv",),
        (
            Fault("assign ready     = left_q == '0;", "assign ready     = 1'b1;", ("free",)),
            Fault("digest_valid <= last_q[4];", "digest_valid <= valid_q[4];", ("once",)),
            Fault("if (last_q[4]) digest", "digest", ("held",)),
        ),
        ("free", "once", "held"),
    ),
    Proof(
        "tap_settings_proof",
        ("noise/gaussian_pkg.sv", "noise/noise_tap_pkg.sv", "noise/tap_settings.sv"),
        (
            Fault("pending <= 1'b1;", "pending <= !shadow.enable;", ("armed",)),
            Fault("active  <= shadow;", "active <= '0;", ("together", "follows")),
            Fault("cfg_valid && (cfg_site == 8'(SITE) || cfg_site == 8'hff)", "cfg_valid",
                  ("others",)),
        ),
        ("armed", "together", "follows", "others"),
    ),
)  # fmt: skip

SYSTEM = (
    Proof(
        "noise_registers_proof",
        ("noise_registers_pkg.sv", "soc/tap_registers.sv", "noise_registers.sv"),
        (
            Fault("axil_n_in_flight < 2'd3", "1'b1", ("write_answer", "read_answer")),
            Fault("axil_awvalid && axil_wvalid)", "axil_awvalid)", ("write_asked",)),
            Fault("if(s_axil_arvalid && s_axil_arready) begin", "if(s_axil_arready) begin",
                  ("read_asked",)),
        ),
        ("write_answer", "read_answer", "write_asked", "read_asked"),
    ),
    Proof(
        "axi_lite_bridge_proof",
        ("soc/axi_lite_bridge.sv",),
        (
            Fault("if (m_axil_awvalid && m_axil_awready)", "if (m_axil_awvalid)",
                  ("address",)),
            Fault("if (m_axil_wvalid && m_axil_wready)", "if (m_axil_wvalid)", ("data",)),
            Fault("if (m_axil_arvalid && m_axil_arready)", "if (m_axil_arvalid)", ("read",)),
            Fault("&& !data_sent_q", "", ("single",)),
            Fault("valid && !writes && !address_sent_q", "valid && !address_sent_q", ("kind",)),
            Fault("assign m_axil_wstrb   = write;", "assign m_axil_wstrb   = '1;", ("content",)),
            Fault("writes ? m_axil_bresp[1] : m_axil_rresp[1]", "m_axil_bresp[1]", ("answer",)),
        ),
        ("address", "data", "read", "single", "kind", "content", "answer"),
    ),
    *(
        Proof(
            "image_reader_proof",
            ("soc/image_reader.sv",),
            faults,
            ("order", "count", "bounds", "requests"),
            {"BEAT_BITS": bits, "BEATS": beats},
        )
        for bits, beats, faults in (
            (8, 5, (
                Fault("beat_words_q <= beat_words_q >> Slot;", "beat_words_q <= beat_words_q;",
                      ("order",)),
                Fault("to_ask_q != '0 && asked_q", "asked_q", ("count",)),
                Fault("asked_q != Words", "1'b1", ("bounds",)),
                Fault("mem_valid && mem_ready;", "mem_ready;", ("bounds",)),
            )),
            (64, 2, (
                Fault("{mem_data, filling_q} >> 32", "{filling_q, mem_data}", ("order",)),
                Fault("if (full && !m_axis_tvalid) begin", "if (full) begin", ("order",)),
                Fault("      if (mem_valid && mem_ready) begin", "      if (mem_valid) begin",
                      ("requests",)),
            )),
        )
    ),
    Proof(
        "result_writer_proof",
        ("soc/result_writer.sv",),
        (
            Fault("lane_q <= last_lane ? '0 : lane_q + 1;", "lane_q <= '0;", ("order",)),
            Fault("address_q    <= address_q + 4;", "address_q    <= address_q + 8;", ("place",)),
            Fault("!label_next_q && last_lane && last_read", "!label_next_q && last_lane",
                  ("taken",)),
            Fault("s_axis_tvalid && !s_axis_tready;", "s_axis_tvalid;", ("waits",)),
        ),
        ("order", "place", "taken", "waits"),
    ),
    Proof(
        "run_control_proof",
        ("soc/run_control.sv",),
        (
            Fault("many_q || address[1:0]", "address[1:0]", ("begins",)),
            Fault("assign checked  = checking_q[2];", "assign checked  = checking_q[1];",
                  ("begins", "silent")),
            Fault("if (accepted) begin\n      run_image_address", "begin\n      run_image_address",
                  ("begins", "reason")),
            Fault("else if (outside_q[0])", "else if (outside_q[1])", ("reason",)),
            Fault("asked && !running && !resetting", "asked && !running", ("busy",)),
            Fault("images_out + run_images", "run_images", ("ends",)),
        ),
        ("begins", "reason", "busy", "silent", "ends"),
    ),
    Proof(
        "tap_registers_proof",
        ("noise_registers_pkg.sv", "soc/tap_registers.sv"),
        (
            Fault("cfg_addr  <= setting_q;", "cfg_addr  <= setting;", ("passed",)),
            Fault("cfg_data  <= next;", "cfg_data  <= data_q;", ("passed",)),
            Fault("(content & ~enabled_q) |", "", ("passed", "held")),
            Fault("cfg_valid <= rst_n && writes;", "cfg_valid <= wrote;", ("silent",)),
            Fault("asked_q   <= rst_n && asked;", "asked_q   <= asked;", ("answered",)),
            Fault("if (!taps_rst_n) written_q <= '0;\n    else if", "if", ("held",)),
        ),
        ("passed", "silent", "answered", "held"),
    ),
    *(
        Proof(
            "shared_memory_proof",
            ("soc/ram.sv", "soc/shared_memory.sv"),
            faults,
            ("turns", "once", "content", "read", "fetch"),
            {"SHORT_PATHS": short},
        )
        for short, faults in (
            (0, (
                Fault("read_valid && !write_valid;", "read_valid;", ("turns",)),
                Fault("!core_ready && !write_valid && !read_valid;", "!core_ready;",
                      ("once", "fetch")),
                Fault("write   = '1;", "write   = 4'd7;", ("content",)),
                Fault("      address = read_address;", "", ("read",)),
            )),
            (1, (
                Fault("core_ready     <= rst_n && granted_q;",
                      "core_ready     <= rst_n && granted;", ("once", "fetch")),
            )),
        )
    ),
    Proof(
        "uart_tx_proof",
        ("soc/uart_tx.sv",),
        (
            Fault("tx       <= 1'b1;", "tx       <= 1'b0;", ("idle",)),
            Fault("tx       <= shift_q[0];", "tx       <= shift_q[8];", ("frame",)),
        ),
        ("idle", "frame"),
    ),
)  # fmt: skip
